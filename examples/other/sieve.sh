# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .sh
#       format_name: percent
#   kernelspec:
#     display_name: Bash
#     language: bash
#     name: bash
# ---

# %% [markdown]
# # A sieve in the shell
#
# Eratosthenes needs no computer language at all, only a list of numbers and the patience to cross some out.
# This document is rendered where a Bash kernel is installed, and skipped elsewhere.

# %%
sieve() {
  local limit=$1 n m
  local -a crossed
  for ((n = 2; n <= limit; n++)); do
    [[ -n ${crossed[n]} ]] && continue
    echo "$n"
    for ((m = n * n; m <= limit; m += n)); do crossed[m]=1; done
  done
}

# %%
sieve 100 | paste -sd ' ' | fold -s -w 60

# %% [markdown]
# ## How many are there?
#
# Up to $n$ there are about $n / \ln n$ of them.

# %%
for limit in 10 100 1000 10000; do
  count=$(sieve "$limit" | wc -l)
  guess=$(awk -v n="$limit" 'BEGIN { printf "%.0f", n / log(n) }')
  printf 'up to %6d: %5d primes, n / ln n = %5d\n' "$limit" "$count" "$guess"
done
