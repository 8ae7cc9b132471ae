/*
 * nft_guard_elements - what is in the guard table's sets, as bytes. Used by nft_guard only.
 *
 * A set of intervals has two elements for a prefix: its first address, and the first one behind it,
 * marked as an end, if there is one.
 */
#pragma once

#include "nft_batch.h"
#include "nft_guard_wanted.h"

/* Into the sets, by family; none may overlap what is there. */
void nft_guard_elements_add(
	struct nft_batch *batch, const struct nft_guard_element *elements, size_t n);
/* Out of the sets; the batch fails if one is not there. */
void nft_guard_elements_remove(
	struct nft_batch *batch, const struct nft_guard_element *elements, size_t n);
/* All of both sets. */
void nft_guard_elements_clear(struct nft_batch *batch);
