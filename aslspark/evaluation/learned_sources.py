"""What a bundle learned from, and what it is judged on -> a warning where the second may be part of the first."""

from __future__ import annotations

from collections.abc import Iterable

from aslspark.bundle.manifest import Manifest


def learned_fingerprint(manifest: Manifest) -> str | None:
    """Return the fingerprint of the samples that a bundle was trained on; None where it does not say."""
    return manifest.get("data", {}).get("fingerprint")


def learned_sources_warning(manifest: Manifest, sources: Iterable[str]) -> str | None:
    """Return a warning where sources are called like some that the bundle learned from; None otherwise.

    Parameters
    ----------
    sources : iterable of str
        Of the rows that are judged, as samples name them.
    """
    both = sorted(set(sources) & set(manifest.get("data", {}).get("sources", [])))
    if not both:
        return None
    return (
        f"trained on a source of the same name ({', '.join(both)}): may have seen these rows; of the folder that "
        "ingest made of its data, the test split alone is judged"
    )
