"""What a network is: frozen values and their arithmetic.  Imports no torch and no other floor."""
