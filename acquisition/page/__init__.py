"""The web page: its server, the check of origins, and the screens in `static/`."""
