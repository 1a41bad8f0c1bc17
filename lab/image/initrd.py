"""The initial RAM disk: busybox, the few drivers in loading order, and the script that mounts the root."""

import shutil
from pathlib import Path

from lab.image.errors import ImageError
from lab.image.recipe import GUEST, MODULES
from lab.image.run import run

_APPLETS = ("sh", "cat", "echo", "insmod", "mkdir", "mount", "poweroff", "sleep", "switch_root")
_FOLDERS = ("bin", "dev", "lower", "modules", "proc", "root", "sys", "upper")


def loading_order(dependencies: str, wanted: tuple[str, ...]) -> list[str]:
    """Return the module files to load, each after those it needs.

    `dependencies` is the text of modules.dep: "path: path path ...", a module's own needs listed nearest first.
    """
    needs = {path: rest.split() for path, _, rest in (line.partition(":") for line in dependencies.splitlines())}
    by_name = {Path(path).name.removesuffix(".ko").replace("-", "_"): path for path in needs}
    order: list[str] = []
    for name in wanted:
        path = by_name.get(name.replace("-", "_"))
        if path is None:
            raise ImageError(f"the kernel package has no module {name}; its list in lab/image/recipe.py is out of date")
        order += [needed for needed in [*reversed(needs[path]), path] if needed not in order]
    return order


def build(tree: Path, work: Path, initrd: Path) -> None:
    """Write the initial RAM disk for the kernel found in `tree`."""
    modules = next((tree / "usr/lib/modules").iterdir())
    run(["chroot", tree, "depmod", modules.name])
    content = work / "initrd"
    for folder in _FOLDERS:
        (content / folder).mkdir(parents=True)
    shutil.copy(tree / "usr/bin/busybox", content / "bin/busybox")
    for applet in _APPLETS:
        (content / "bin" / applet).symlink_to("busybox")
    shutil.copy(GUEST / "initrd/init", content / "init")
    (content / "init").chmod(0o755)
    order = loading_order((modules / "modules.dep").read_text(), MODULES)
    for path in order:
        shutil.copy(modules / path, content / "modules" / Path(path).name)
    (content / "modules/order").write_text("".join(f"{Path(path).name}\n" for path in order))
    names = sorted(str(path.relative_to(content)) for path in content.rglob("*"))
    archive = f'cd "{content}" && exec "{tree}/usr/bin/busybox" cpio -o -H newc > "{initrd}"'
    run(["sh", "-c", archive], stdin="".join(f"{name}\n" for name in names).encode())
