"""Which checkpoints the page offers, and what it says of each."""

from __future__ import annotations

from dataclasses import dataclass

from depth_anything_v2.checkpoints import CheckpointSpec, is_on_disk, list_checkpoints


@dataclass(frozen=True)
class Offer:
    """One checkpoint to choose. spec: its record, None for the file, folder or repository of the command line."""

    name: str
    spec: CheckpointSpec | None = None

    @property
    def label(self) -> str:
        """One line for a list: name, what its numbers are, licence, size."""
        if self.spec is None:
            return self.name
        numbers = "relative" if self.spec.max_depth_m is None else f"metres, up to {self.spec.max_depth_m:g}"
        size = "" if self.spec.builtin else file_size(self.spec.bytes)
        return " · ".join(filter(None, (self.name, numbers, self.spec.licence or "licence: see its page", size)))

    @property
    def on_disk(self) -> bool:
        """Whether it can be used without a download; looks for files and reads none of them."""
        return self.spec is None or is_on_disk(self.spec)

    @property
    def download_size(self) -> str | None:
        """What a download would fetch ('99 MB'), None when it is on disk or was never published."""
        if self.on_disk or self.spec is None or not self.spec.downloadable:
            return None
        return file_size(self.spec.bytes) or "size not known"

    def describe(self) -> str:
        """Return Markdown: what it is, its licence, and where it is."""
        spec = self.spec
        if spec is None:
            return f"`{self.name}`, from the command line."
        licence = f"Licence {spec.licence}" if spec.licence else "Licence: see the page of its repository"
        if "-NC" in (spec.licence or ""):
            licence += ": **no commercial use**"
        if spec.builtin:
            place = ""
        elif self.on_disk:
            place = " On this machine."
        elif self.download_size is None:
            place = (
                f" It can't be downloaded ({spec.status or 'never published'}): put `{spec.file}` into ./checkpoints."
            )
        else:
            place = f" Not on this machine yet ({self.download_size})."
        summary = spec.summary or spec.name
        return f"{summary[:1].upper()}{summary[1:]}. {licence}.{place}"


def file_size(count: int | None) -> str:
    """Return '99 MB', '1.34 GB', or nothing when it is not known."""
    if count is None:
        return ""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def list_offers(own: str = "auto") -> dict[str, Offer]:
    """Return what can be chosen, by name, the default first.

    own: what the command line named; 'auto' is `vits` if it is on disk, else the built-in one.
    """
    offers = {spec.name: Offer(spec.name, spec) for spec in list_checkpoints()}
    first = own
    if own == "auto":
        first = "vits" if offers["vits"].on_disk else "builtin"
    return {first: offers.get(first, Offer(first)), **{name: offer for name, offer in offers.items() if name != first}}
