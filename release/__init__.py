"""Files that accompany a release, and checks of what it promises of its dependencies."""
