"""What `bodyplan reproduce` can make: a file for each kind of table or figure."""
