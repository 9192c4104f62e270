"""What starts and watches several processes: names for programs that mention them."""
