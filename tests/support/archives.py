"""Image archives for tests: layers from plain words, layouts and `docker save` files around them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Entry", "blob_of", "docker_archive", "entry", "layer", "name_manifest", "oci_layout"]

Entry = tuple[tarfile.TarInfo, bytes]


def entry(name: str, data: bytes = b"", *, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> Entry:
    """One member; a name that ends with a slash is a directory."""
    info = tarfile.TarInfo(name)
    if name.endswith("/"):
        info.type, info.mode = tarfile.DIRTYPE, 0o755 if mode == 0o644 else mode
    else:
        info.type, info.mode, info.size = kind, mode, len(data)
    info.linkname = link
    return info, data


def layer(*entries: Entry) -> bytes:
    """A tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def oci_layout(path: Path, *layers: bytes, tag: str = "", compress: bool = True) -> Path:
    """A layout with one image."""
    blobs = path / "blobs/sha256"
    blobs.mkdir(parents=True)

    def blob(data: bytes, media: str) -> dict[str, object]:
        (blobs / _digest(data)).write_bytes(data)
        return {"mediaType": media, "digest": f"sha256:{_digest(data)}", "size": len(data)}

    stored = [gzip.compress(tar) if compress else tar for tar in layers]
    diff_ids = [f"sha256:{_digest(tar)}" for tar in layers]
    config = json.dumps({"os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode()
    manifest = {
        "schemaVersion": 2,
        "config": blob(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [blob(data, "application/vnd.oci.image.layer.v1.tar+gzip") for data in stored],
    }
    descriptor = blob(json.dumps(manifest).encode(), "application/vnd.oci.image.manifest.v1+json")
    if tag:
        descriptor["annotations"] = {"org.opencontainers.image.ref.name": tag}
    (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [descriptor]}))
    return path


def blob_of(path: Path, kind: str) -> Path:
    """The file of the manifest, the configuration (`config`) or the only `layer` of a layout with one image."""
    index = json.loads((path / "index.json").read_text())
    manifest = path / "blobs/sha256" / str(index["manifests"][0]["digest"])[7:]
    if kind == "manifest":
        return manifest
    found = json.loads(manifest.read_text())
    descriptor = found["config"] if kind == "config" else found["layers"][0]
    return path / "blobs/sha256" / str(descriptor["digest"])[7:]


def name_manifest(path: Path, manifest: object) -> None:
    """Have a layout's index name another manifest."""
    data = json.dumps(manifest).encode()
    (path / "blobs/sha256" / _digest(data)).write_bytes(data)
    (path / "index.json").write_text(json.dumps({"manifests": [{"digest": f"sha256:{_digest(data)}"}]}))


def docker_archive(path: Path, *layers: bytes, tags: tuple[str, ...] = ()) -> Path:
    """What `docker save` writes."""
    config = json.dumps({"rootfs": {"diff_ids": [f"sha256:{_digest(tar)}" for tar in layers]}}).encode()
    names = [f"{number}/layer.tar" for number, _ in enumerate(layers)]
    manifest = [{"Config": f"{_digest(config)}.json", "RepoTags": list(tags) or None, "Layers": names}]
    members = [
        entry(f"{_digest(config)}.json", config),
        *(entry(name, data) for name, data in zip(names, layers, strict=True)),
        entry("manifest.json", json.dumps(manifest).encode()),
    ]
    path.write_bytes(layer(*members))
    return path
