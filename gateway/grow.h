/*
 * grow - arrays that grow by one element at a time.
 *
 * For what is read once, at the start: each call may move the array, so pointers into it are good
 * until the next one only.
 */
#pragma once

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* A zeroed place for one more element behind the n there are; NULL: no memory. The caller counts.
 */
static inline void *grow_array(void **array, size_t n, size_t size)
{
	void *bigger = reallocarray(*array, n + 1, size);

	if (!bigger)
		return NULL;
	*array = bigger;
	return memset((char *)bigger + n * size, 0, size);
}
