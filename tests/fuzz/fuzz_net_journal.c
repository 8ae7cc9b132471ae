/*
 * Fuzzes the reader of journals: whatever the file holds, the outcome is whole and may be shown to
 * a terminal; and of a journal that was cut off anywhere the reader says that it was interrupted,
 * unless nothing of it is left.
 */
#include "net_journal.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static struct net_journal_past parse(const uint8_t *data, size_t size)
{
	struct net_journal_past past;
	char *copy = malloc(size > 0 ? size : 1);

	REQUIRE(copy);
	if (size > 0)
		memcpy(copy, data, size);
	memset(&past, 0xff, sizeof(past));
	net_journal_parse(copy, size, &past);
	free(copy);
	REQUIRE(strnlen(past.text, NET_TEXT_MAX) < NET_TEXT_MAX);
	for (const char *p = past.text; *p; p++)
		REQUIRE((unsigned char)*p >= ' ' && (unsigned char)*p <= '~');
	REQUIRE(past.step > 0 || past.text[0] == '\0');
	return past;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct net_journal_past past = parse(data, size);

	if (size == 0) {
		REQUIRE(!past.interrupted);
		return 0;
	}
	if (!past.interrupted) {
		REQUIRE(size >= 4 && memcmp(data + size - 4, "end\n", 4) == 0);
		for (size_t cut = size < 64 ? 1 : size - 63; cut < size; cut++)
			REQUIRE(parse(data, cut).interrupted);
	}
	return 0;
}

static const char *const words[] = {
	"begin 3\n",
	"do 1 ip -6 addr add 2001:db8::1/128 dev eth0\n",
	"do 3 x\n",
	"done 1\n",
	"undo 2 y\n",
	"undone 2\n",
	"end\n",
	"\n",
	" ",
	"do 18446744073709551616 ",
};

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	return fuzz_add_word(words, sizeof(words) / sizeof(words[0]), data, size, max_size, seed);
}
