"""What each exercise must do: `check(mine)`, three `HINTS`, and `WRONG`, mistakes that the check is known to refuse."""
