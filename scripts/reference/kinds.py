"""docs/reference/kinds.md"""

from __future__ import annotations

from collections.abc import Sequence

from pharos.core.resource import AnyKind, Metadata
from scripts.reference.members import nested, plain, summary, table

HEAD = """# Kinds

Everything that should be is a resource of one of these kinds, declared in YAML or JSON:

```yaml
apiVersion: pharos/v1
kind: Budget
metadata: {name: team-a}
spec: {limit: "25.00", currency: USD, window: month}
```

Unknown members are errors. A *name* has lower-case letters, digits, `.`, `_` and `-`, begins and ends with a letter or
digit, and is at most 128 long. A reference may name what does not exist yet, so manifests may come in any order; the
graph (`pharos graph`) shows those that lead nowhere. A name alone means the same namespace, `namespace/name` another.
"""


def page(kinds: Sequence[AnyKind]) -> str:
    """The kinds with everything their manifests may say."""
    parts = [HEAD, "## metadata\n\n" + table(Metadata)]
    parts[1] += (
        "\n`uid`, `createdAt` and `updatedAt` are the city's to write. A `revision` in a manifest means: only if "
    )
    parts[1] += "this is still the present one.\n"
    seen: set[str] = set()
    for kind in sorted(kinds, key=lambda kind: kind.name):
        text = f"## {kind.name}\n\n{plain(kind.summary)} Plural: `{kind.plural}`.\n\n{table(kind.spec)}"
        for model in nested(kind.spec):
            if model.__name__ not in seen:
                seen.add(model.__name__)
                text += f"\n### {model.__name__}\n\n{plain(summary(model))}\n\n{table(model)}"
        parts.append(text)
    return "\n".join(parts)
