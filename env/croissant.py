"""Write Croissant metadata beside a synthetic data set: `make croissant`.

    python env/croissant.py FOLDER

FOLDER holds `Task 1`, in which croissant.json is written: what the files are, their hashes, and
their lines as records, for programs that read http://mlcommons.org/croissant/1.0.
"""

import json
import sys
from pathlib import Path

import senorita_lib
from senorita_lib.datasets.files import LAYOUTS, SPLITS_FILE, find_layout
from senorita_lib.datasets.synthetic.frames import STAMP
from senorita_lib.files import atomic_write
from senorita_lib.hand import JOINT_NAMES
from senorita_lib.weights import file_digest

# The context that Croissant 1.0 prescribes.
TERMS = (
    "citeAs column equivalentProperty extract field fileObject fileProperty fileSet format "
    "includes isLiveDataset jsonPath key md5 parentField path recordSet references regex repeated "
    "replace samplingRate separator source subField transform"
)
CONTEXT = {
    "@language": "en", "@vocab": "https://schema.org/", "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/", "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
} | {term: f"cr:{term}" for term in TERMS.split()}  # fmt: skip
CONTENT = {
    "boxes": "name, then x1 y1 x2 y2 of a box around the hand, pixels; TAB between",
    "joints": "name, then x y z of 21 joints, camera frame (x right, y down, z forward), mm; "
    f"TAB between; the joints: {', '.join(JOINT_NAMES)}",
    "splits": "name and split of each test frame; TAB between",
}


def line_records(file: str, content: str) -> dict:
    """A record for each line of a text file."""
    source = {"fileObject": {"@id": file}, "extract": {"fileProperty": "lines"}}
    name = Path(file).stem
    field = {"@type": "cr:Field", "@id": f"{name}/line", "name": "line", "description": content}
    field |= {"dataType": "sc:Text", "source": source}
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "field": [field]}


def describe(folder: Path) -> dict:
    """The metadata of the data set in a folder `Task 1`, as JSON-LD."""
    settings = json.loads((folder / STAMP).read_text())["settings"]
    images, texts = [], {SPLITS_FILE: CONTENT["splits"]}
    for files in LAYOUTS["HANDS19"].values():
        images.append({
            "@type": "cr:FileSet", "@id": files.images, "name": files.images,
            "description": "depth, 640 x 480, 16 bit, mm, 0 = no return",
            "encodingFormat": "image/png", "includes": f"{files.images}/*.png",
        })  # fmt: skip
        texts |= {files.boxes: CONTENT["boxes"], files.joints: CONTENT["joints"]}
    objects = [
        {
            "@type": "cr:FileObject", "@id": name, "name": name, "description": content,
            "contentUrl": name, "encodingFormat": "text/plain",
            "contentSize": f"{(folder / name).stat().st_size} B",
            "sha256": file_digest(folder / name),
        }
        for name, content in texts.items()
    ]  # fmt: skip
    return {
        "@context": CONTEXT, "@type": "sc:Dataset", "name": "senorita-synthetic-hands19",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "description": "Synthetic depth images of a right hand with 21 joints in mm, in HANDS19's "
        f"layout: {', '.join(f'{key} {value}' for key, value in settings.items())}.",
        "license": "https://spdx.org/licenses/MIT.html",
        "version": f"{settings['generator']}.0.0", "datePublished": "2026-11-29",
        "creator": {"@type": "sc:Organization", "name": "The SeñoritaHand kit authors"},
        "citeAs": f"SeñoritaHand kit, version {senorita_lib.__version__}, by its authors",
        "distribution": [*objects, *images],
        "recordSet": [line_records(name, content) for name, content in texts.items()],
    }  # fmt: skip


def main(root: str) -> None:
    folder, _ = find_layout(root)
    if not (folder / STAMP).is_file():
        raise SystemExit(f"{folder} has no {STAMP}, wanted a synthetic data set")
    text = json.dumps(describe(folder), indent=1, ensure_ascii=False) + "\n"
    atomic_write(folder / "croissant.json", text)
    print(folder / "croissant.json")


if __name__ == "__main__":
    main(sys.argv[1])
