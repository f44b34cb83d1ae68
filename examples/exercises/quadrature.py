# # Adding up rectangles
#
# How fast does a quadrature rule approach the integral? This worksheet compares three of them. Its
# questions are cells tagged `exercise`: the course hands them out, the website leaves them
# out with `moorage render examples/exercises --remove-cells exercise`.

# +
import matplotlib.pyplot as plt
import numpy as np

plt.style.use("../look.mplstyle")


def f(x):
    return np.exp(-x) * np.sin(3 * x)


a, b = 0.0, 3.0
exact = (3 - np.exp(-3) * (np.sin(9) + 3 * np.cos(9))) / 10
# -

# ## Three rules
#
# With $n$ strips of width $h = (b-a)/n$ the integral is close to
#
# $$ M = h \sum_i f\bigl(x_{i+1/2}\bigr), \qquad
#    T = h \sum_i \tfrac{1}{2}\bigl(f(x_i) + f(x_{i+1})\bigr), \qquad
#    S = \tfrac{2}{3} M + \tfrac{1}{3} T . $$


# +
def midpoint(n):
    x = np.linspace(a, b, n + 1)
    return (b - a) / n * np.sum(f((x[1:] + x[:-1]) / 2))


def trapezoid(n):
    y = f(np.linspace(a, b, n + 1))
    return (b - a) / n * (np.sum(y) - (y[0] + y[-1]) / 2)


def simpson(n):
    return (2 * midpoint(n) + trapezoid(n)) / 3


# -

# + [markdown] tags=["exercise"]
# **Exercise 1.** Before you go on: which of midpoint and trapezoid will be the better one, and by how much?
# Why does Simpson's combination weigh them two to one?
# -

# +
fig, (left, right) = plt.subplots(1, 2, figsize=(7, 2.9), sharey=True)
fine = np.linspace(a, b, 400)
edges = np.linspace(a, b, 9)
centres = (edges[1:] + edges[:-1]) / 2

left.bar(centres, f(centres), width=np.diff(edges), color="C0", alpha=0.25, edgecolor="C0", lw=0.8)
left.plot(centres, f(centres), "o", color="C0", ms=3.5)
left.set_title("midpoint")
right.fill_between(edges, f(edges), color="C1", alpha=0.22, lw=0)
right.vlines(edges, 0, f(edges), color="C1", lw=0.8)
right.plot(edges, f(edges), "o-", color="C1", ms=3.5, lw=0.9)
right.set_title("trapezoid")
for ax in (left, right):
    ax.plot(fine, f(fine), color="0.2", lw=1.4)
    ax.axhline(0, color="0.6", lw=0.8)
    ax.set(xlabel="$x$", xlim=(a, b))
plt.show()
# -

# ## Halving the error

# +
strips = 2 ** np.arange(1, 15)

fig, ax = plt.subplots(figsize=(7, 3.6))
for rule, marker in [(trapezoid, "s"), (midpoint, "o"), (simpson, "D")]:
    errors = np.array([abs(rule(n) - exact) for n in strips])
    ax.loglog(strips, np.maximum(errors, 1e-17), marker + "-", ms=4, lw=1.2, label=rule.__name__)
ax.annotate("$h^2$", (600, 2e-5), fontsize=10)
ax.annotate("$h^4$", (300, 4e-10), fontsize=10)
ax.axhline(np.finfo(float).eps, color="0.6", lw=0.8, ls=(0, (4, 3)))
ax.set(xlabel="strips $n$", ylabel="error", title="Each rule has its order", ylim=(1e-17, 2))
ax.legend(loc="upper right")
plt.show()
# -

# + tags=["exercise"]
# Exercise 2. Replace f by a function that is periodic over the interval, exp(sin(x)) over one period,
# and look at the trapezoidal rule again. What has happened to its order?
def g(x):
    return np.exp(np.sin(x))


your_answer = ...
# -

# The errors of midpoint and trapezoid have opposite signs and a ratio of one to two, which is what
# Simpson's rule cancels.

n = 64
print(f"midpoint {midpoint(n) - exact:+.3e}   trapezoid {trapezoid(n) - exact:+.3e}   Simpson {simpson(n) - exact:+.3e}")
