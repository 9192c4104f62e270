"""Questions of libraries that trace themselves: nothing is traced."""
