"""What the Space is made of; `app.py` beside this folder starts it."""
