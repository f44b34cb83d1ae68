# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A tiling which never repeats
#
# Two rhombs, put together by a simple rule, cover the plane, and no shift brings the pattern onto
# itself. Roger Penrose found them in 1974; ten years later a metal alloy turned out to have known.
#
# The picture is drawn without any plotting library: the last cell displays **SVG** text, sharp at any size.

# %% [markdown]
# ## Cutting triangles
#
# Half a rhomb is a triangle with two equal sides. A thin one (apex of 36°) is cut into two pieces, a thick
# one (108°) into three; the pieces are again thin or thick, smaller by the golden ratio
#
# $$ \varphi = \frac{1 + \sqrt 5}{2}. $$

# %%
import cmath
import math

golden = (1 + math.sqrt(5)) / 2


def subdivide(triangles):
    """Cut each triangle (kind, apex, left, right); points are complex numbers."""
    for kind, a, b, c in triangles:
        if kind == "thin":
            p = a + (b - a) / golden
            yield "thin", c, p, b
            yield "thick", p, c, a
        else:
            q = b + (a - b) / golden
            r = b + (c - b) / golden
            yield "thick", r, c, a
            yield "thick", q, r, b
            yield "thin", r, q, a


# %% [markdown]
# Start with a wheel of ten thin triangles, each the mirror image of its neighbours, and cut six times.

# %%
triangles = []
for i in range(10):
    b, c = cmath.rect(1, (2 * i - 1) * math.pi / 10), cmath.rect(1, (2 * i + 1) * math.pi / 10)
    triangles.append(("thin", 0j, *((b, c) if i % 2 else (c, b))))

for _ in range(6):
    triangles = list(subdivide(triangles))

thin = sum(kind == "thin" for kind, *_ in triangles)
thick = len(triangles) - thin
print(f"{thick} thick and {thin} thin triangles, ratio {thick / thin:.4f}; the golden ratio is {golden:.4f}")

# %% [markdown]
# ## Putting the halves together
#
# Two triangles which share their longest or shortest side (`left` to `right`) make one rhomb. The hue
# follows the direction of the rhomb, of which there are only five for each kind.


# %%
def rhombs(triangles):
    """Corners of each rhomb, found by the middle of the side that its halves share."""
    halves = {}
    for kind, a, b, c in triangles:
        middle = (b + c) / 2
        halves.setdefault((kind, round(middle.real, 6), round(middle.imag, 6)), []).append((a, b, c))
    for (kind, *_), found in halves.items():
        a, b, c = found[0]
        yield kind, (a, b, b + c - a, c)


palette = {
    "thick": ["#e07a5f", "#e9a178", "#f2cc8f", "#d98f6c", "#c8634f"],
    "thin": ["#2f6f9f", "#3d8f9c", "#5aa9a3", "#3d5a80", "#274c77"],
}


def svg(triangles, width=700, height=430, zoom=420):
    shapes = []
    for kind, corners in rhombs(triangles):
        middle = sum(corners) / 4 * zoom
        if abs(middle.real) > width / 2 + 20 or abs(middle.imag) > height / 2 + 20:
            continue
        direction = cmath.phase((corners[2] - corners[0]) ** 2) / (2 * math.pi)
        colour = palette[kind][round(direction * 5) % 5]
        points = " ".join(f"{p.real * zoom:.1f},{p.imag * zoom:.1f}" for p in corners)
        shapes.append(f'<polygon points="{points}" fill="{colour}"/>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{-width / 2} {-height / 2} {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-label="Penrose tiling" style="max-width: 100%; height: auto">'
        '<clipPath id="frame"><rect x="-350" y="-215" width="700" height="430" rx="14"/></clipPath>'
        f'<g clip-path="url(#frame)" stroke="#fbfaf7" stroke-width="1.1" stroke-linejoin="round">{"".join(shapes)}</g></svg>'
    )


# %%
from IPython.display import SVG

SVG(svg(triangles))
