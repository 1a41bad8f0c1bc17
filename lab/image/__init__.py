"""The guest image: built from Debian packages, started under software emulation within seconds."""

from lab.image.cache import GuestImage, ensure
from lab.image.errors import ImageError
from lab.image.recipe import EMULATED_CPU

__all__ = ["EMULATED_CPU", "GuestImage", "ImageError", "ensure"]
