"""What `manage.py lro` does, apart from reading its arguments."""
