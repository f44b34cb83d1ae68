# # The gyroid
#
# In 1970 Alan Schoen found a surface which divides space into two equal, interlocked labyrinths, contains no
# straight line, and bends equally in opposite directions at each of its points. Butterflies grow it in
# their wings. To within a few per cent it is where
#
# $$ \sin x \cos y + \sin y \cos z + \sin z \cos x = 0 . $$
#
# This example draws it with [PyVista](https://pyvista.org). No display is needed: pictures are made off
# screen, also on a machine without any.

# +
import sys

import numpy as np
import pyvista as pv

pv.OFF_SCREEN = True
if "ipykernel" in sys.modules:
    pv.set_jupyter_backend("static")

pv.global_theme.font.family = "arial"
pv.global_theme.window_size = [1000, 640]
# -

# ## The field and its surface
#
# Two and a half periods in each direction, cut by a ball to give the piece a shape.

# +
n, periods = 110, 2.5
grid = pv.ImageData(dimensions=(n, n, n), spacing=(2 / (n - 1),) * 3, origin=(-1, -1, -1))
x, y, z = (periods * np.pi * grid.points).T
grid["field"] = np.sin(x) * np.cos(y) + np.sin(y) * np.cos(z) + np.sin(z) * np.cos(x)
grid["radius"] = np.linalg.norm(grid.points, axis=1)

surface = grid.contour([0.0], scalars="field").clip_scalar(scalars="radius", value=1.0)
surface = surface.compute_normals(auto_orient_normals=True)
print(f"{surface.n_cells:,} triangles, area {surface.area:.2f}")
# -

# ## A look at it

# + tags=["active-ipynb"]
# plotter = pv.Plotter(lighting="three lights")
# plotter.set_background("#10141c", top="#2b3a52")
# plotter.add_mesh(surface, scalars="radius", cmap="magma", clim=[0.05, 1.15], smooth_shading=True,
#                  specular=0.5, specular_power=25, show_scalar_bar=False)
# plotter.camera_position = [(2.6, 2.0, 1.5), (0, 0, 0), (0, 0, 1)]
# plotter.camera.zoom(0.85)
# plotter.enable_anti_aliasing("ssaa")
# plotter.show()
# -

# ## How it bends
#
# For a surface $F = 0$ with gradient $\mathbf g$ and second derivatives $H$ the Gaussian curvature is
#
# $$ K = -\frac{1}{|\mathbf g|^4} \begin{vmatrix} H & \mathbf g \\ \mathbf g^\top & 0 \end{vmatrix} . $$
#
# It is nowhere positive here: a saddle at every point, and flat in a few.

# +
x, y, z = (periods * np.pi * surface.points.astype(float)).T
(sx, sy, sz), (cx, cy, cz) = np.sin([x, y, z]), np.cos([x, y, z])

gx, gy, gz = cx * cy - sz * sx, cy * cz - sx * sy, cz * cx - sy * sz
bordered = np.array(
    [
        [-sx * cy - sz * cx, -cx * sy, -cz * sx, gx],
        [-cx * sy, -sx * cy - sy * cz, -cy * sz, gy],
        [-cz * sx, -cy * sz, -sy * cz - sz * cx, gz],
        [gx, gy, gz, np.zeros_like(gx)],
    ]
)
surface["Gaussian curvature"] = -np.linalg.det(np.moveaxis(bordered, 2, 0)) / (gx**2 + gy**2 + gz**2) ** 2
lowest, highest = surface["Gaussian curvature"].min(), surface["Gaussian curvature"].max()
print(f"Gaussian curvature between {lowest:.3f} and {highest:.3f}")
# -

# + tags=["active-ipynb"]
# plotter = pv.Plotter()
# plotter.set_background("#fbfaf7")
# plotter.add_mesh(surface, scalars="Gaussian curvature", cmap="YlGnBu_r", smooth_shading=True, specular=0.2,
#                  scalar_bar_args={"color": "#3a3f47", "vertical": False, "width": 0.4, "position_x": 0.3, "position_y": 0.02,
#                                   "title_font_size": 18, "label_font_size": 14, "n_labels": 3, "fmt": "%.1f"})
# plotter.camera_position = [(2.6, 2.0, 1.5), (0, 0, -0.14), (0, 0, 1)]
# plotter.camera.zoom(0.76)
# plotter.show()
# -

# ## Once around
#
# An animation of thirty frames: `gyroid.gif`.

# + tags=["active-ipynb"]
# plotter = pv.Plotter(off_screen=True, window_size=[400, 340])
# plotter.set_background("#10141c")
# plotter.add_mesh(surface, scalars="radius", cmap="magma", clim=[0.05, 1.15], smooth_shading=True,
#                  specular=0.5, specular_power=25, show_scalar_bar=False)
# plotter.open_gif("gyroid.gif", fps=15, loop=0)
# for angle in np.linspace(0, 2 * np.pi, 30, endpoint=False):
#     plotter.camera_position = [(3.2 * np.cos(angle), 3.2 * np.sin(angle), 1.5), (0, 0, 0), (0, 0, 1)]
#     plotter.write_frame()
# plotter.close()
# -

# ![The gyroid, turning](gyroid.gif)
