/*
 * Fuzzes the reader of files of bans: whatever the file holds, the list is whole and in order, just
 * the outermost bans are in force, and what is written of it reads as the same list, without a
 * flaw.
 */
#include "ban_file.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define NOW 1000000U

static void check(const struct ban_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct ban *ban = list->bans[i];

		REQUIRE(ban->prefix_len > 0);
		REQUIRE(ban_list_reason_is_fine(ban->reason));
		REQUIRE(ban->in_force == (ban_list_cover(list, ban) == NULL));
	}
}

static void append(char **text, size_t *len, char *line)
{
	size_t more = strlen(line);

	*text = realloc(*text, *len + more + 1);
	REQUIRE(*text);
	memcpy(*text + *len, line, more + 1);
	*len += more;
	free(line);
}

static void check_round(const struct ban_list *list)
{
	struct ban_list again = { 0 };
	struct ban_file_flaws flaws;
	char *text = NULL;
	size_t len = 0;

	append(&text, &len, ban_file_head());
	for (size_t i = 0; i < list->n; i++)
		append(&text, &len, ban_file_ban(list->bans[i]));
	REQUIRE(ban_file_parse(text, len, &again, NOW, &flaws) == 0);
	REQUIRE(flaws.n == 0 && again.n == list->n);
	for (size_t i = 0; i < list->n; i++) {
		REQUIRE(memcmp(again.bans[i], list->bans[i], sizeof(struct ban)) == 0);
		REQUIRE(strcmp(again.bans[i]->reason, list->bans[i]->reason) == 0);
	}
	ban_list_clear(&again);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ban_list list = { 0 };
	struct ban_file_flaws flaws = { 0 };
	char *copy = malloc(size > 0 ? size : 1);

	REQUIRE(copy);
	if (size > 0)
		memcpy(copy, data, size);
	REQUIRE(ban_file_parse(copy, size, &list, NOW, &flaws) == 0);
	free(copy);
	REQUIRE(flaws.n <= flaws.n_lines && flaws.line <= flaws.n_lines);
	REQUIRE((flaws.n > 0) == (flaws.reason != NULL));
	check(&list);
	check_round(&list);
	ban_list_clear(&list);
	return 0;
}

static const char *const words[] = {
	"{\"sixgate\":\"bans\",\"version\":1}\n",
	"{\"ban\":\"2001:db8:1::/64\",\"until_ms\":1764040000000,\"reason\":\"ssh\"}\n",
	"{\"ban\":\"2001:db8:1::5\"}\n",
	"{\"ban\":\"2001:db8::/32\",\"until_ms\":1}\n",
	"{\"unban\":\"2001:db8::/32\"}\n",
	"{\"ban\":\"::ffff:192.0.2.1\"}\n",
	"{\"ban\":\"192.0.2.0/24\",\"reason\":\"\\u00e9\"}\n",
	"{\"unban\":\"192.0.2.0/24\"}\n",
	"\n",
};

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	return fuzz_add_word(words, sizeof(words) / sizeof(words[0]), data, size, max_size, seed);
}
