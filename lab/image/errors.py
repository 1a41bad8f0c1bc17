"""The one error of the image builder."""


class ImageError(Exception):
    """The guest image cannot be built or used; the message is one sentence with the remedy."""
