"""`python -m lab.image --cache DIR`: build the guest image when needed and print its directory."""

import sys
from pathlib import Path

import click

from lab.image import ImageError, ensure

EXIT_COULD_NOT_RUN = 3


@click.command(help="Build the guest image when the cache lacks it, and print its directory.")
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), required=True, help="Directory of images.")
def main(cache: Path) -> None:
    """Build the image and print where it is."""
    try:
        image = ensure(cache, log=lambda line: click.echo(line, err=True))
    except ImageError as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_COULD_NOT_RUN)
    click.echo(image.directory)


main()
