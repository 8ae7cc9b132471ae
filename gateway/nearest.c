#include "nearest.h"

#include <string.h>

#define LETTERS_MAX 64
#define FAR	    2 /* farther than this is no typing mistake */

/* How many letters have to be added, taken out or replaced (Levenshtein). */
static size_t distance(const char *a, const char *b)
{
	size_t row[LETTERS_MAX + 1], la = strlen(a), lb = strlen(b);

	if (la > LETTERS_MAX || lb > LETTERS_MAX)
		return LETTERS_MAX;
	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[lb];
}

void nearest_offer(struct nearest *nearest, const char *candidate)
{
	size_t far = distance(nearest->word, candidate);

	/* Of a short word nothing would be left. */
	if (far > FAR || far >= strlen(nearest->word) || (nearest->found && far >= nearest->far))
		return;
	nearest->found = candidate;
	nearest->far = far;
}
