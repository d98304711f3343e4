"""Makes the demo's photographs: square crops, 224x224, binary PPM (P6).

The sources are the sample images that scikit-image ships (Debian: python3-skimage 0.19.3-8, python3-pil 9.4.0).
README.md beside this file has the author and the licence of each.

    python3 make.py [DATA]    DATA: the folder skimage/data; by default that of the installed package
"""

import importlib.util
import sys
from pathlib import Path

from PIL import Image

SIZE = 224

# name: (file in skimage/data, left, top, side of the square that is cut out), in pixels of the source
CROPS = {
    "cat": ("chelsea.png", 70, 0, 300),
    "coffee": ("coffee.png", 130, 0, 400),
    "retina": ("retina.jpg", 0, 0, 1411),
    "rocket": ("rocket.jpg", 215, 117, 310),
}


def data_folder() -> Path:
    if len(sys.argv) > 1:
        return Path(sys.argv[1])
    package = importlib.util.find_spec("skimage")
    if package is None or package.origin is None:
        sys.exit("python3-skimage is not installed: install it, or give the path of its data folder")
    return Path(package.origin).parent / "data"


def main() -> None:
    data = data_folder()
    here = Path(__file__).parent
    for name, (source, left, top, side) in CROPS.items():
        with Image.open(data / source) as photograph:
            square = photograph.convert("RGB").crop((left, top, left + side, top + side))
        square.resize((SIZE, SIZE), Image.Resampling.LANCZOS).save(here / f"{name}.ppm")


main()
