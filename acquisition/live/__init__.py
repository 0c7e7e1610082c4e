"""What people and machines watch while it happens: the board of newest values, the page, the terminal."""

from acquisition.live.board import Board
from acquisition.live.page import Page

__all__ = ["Board", "Page"]
