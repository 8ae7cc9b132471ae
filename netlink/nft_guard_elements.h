/*
 * nft_guard_elements - what is in the guard table's sets, as bytes. Used by nft_guard only.
 *
 * A set of intervals has two elements for a prefix: its first address, and the first one behind it,
 * marked as an end, if there is one. Timeout and comment are the first one's; the kernel lets the
 * end go together with it.
 *
 * A message, NFT_MSG_NEWSETELEM or NFT_MSG_DELSETELEM, is about one set:
 *
 *   NFTA_SET_ELEM_LIST_TABLE, NFTA_SET_ELEM_LIST_SET    names
 *   NFTA_SET_ELEM_LIST_ELEMENTS                         to remove: left out, it is all of the set
 *     NFTA_LIST_ELEM                                    one for each element
 *       NFTA_SET_ELEM_KEY
 *         NFTA_DATA_VALUE                               the address, in network order
 *       NFTA_SET_ELEM_TIMEOUT                           64 bits, ms, in network order
 *       NFTA_SET_ELEM_USERDATA                          type and length (a byte each), comment, NUL
 *       NFTA_SET_ELEM_FLAGS                             32 bits, in network order
 */
#pragma once

#include "nft_batch.h"
#include "nft_guard_wanted.h"

/*
 * Into the sets, by family; none may overlap what is there. What the batch removes before is not
 * there any more. Fails the batch with -EINVAL for a family or a length that is none.
 */
void nft_guard_elements_add(
	struct nft_batch *batch, const struct nft_guard_element *elements, size_t n);
/* Out of the sets; the kernel refuses the whole batch (-ENOENT) if one is not there. */
void nft_guard_elements_remove(
	struct nft_batch *batch, const struct nft_guard_element *elements, size_t n);
/* All of both sets, also if they are empty. */
void nft_guard_elements_clear(struct nft_batch *batch);
