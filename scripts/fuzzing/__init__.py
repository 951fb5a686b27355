"""What drives a city with made-up requests: the description they are made from, where they are led, what is found."""
