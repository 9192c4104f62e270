"""Types that scripted code is annotated with."""

from typing import Any as Any
from typing import Dict as Dict  # noqa: UP035  programs import these old names from here
from typing import List as List  # noqa: UP035
from typing import Optional as Optional
from typing import Tuple as Tuple  # noqa: UP035
