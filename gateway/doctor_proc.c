#include "doctor_proc.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of enum in net/tcp_states.h, which the kernel has for UDP, too. */
#define STATE_CLOSE  0x07U
#define STATE_LISTEN 0x0aU

static int join(const char *root, const char *path, char ret_path[PATH_MAX])
{
	int len = snprintf(ret_path, PATH_MAX, "%s%s", root, path);

	return len < 0 || len >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* Opened so that a fifo or a terminal in its place makes nobody wait. */
int doctor_proc_file(const char *root, const char *path, char **ret_text)
{
	char full[PATH_MAX];
	size_t len = 0;
	ssize_t n = 1;
	char *text;
	int fd, err;

	err = join(root, path, full);
	if (err)
		return err;
	fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	text = malloc(PROC_FILE_MAX + 1);
	if (!text) {
		close(fd);
		return -ENOMEM;
	}
	while (n > 0 && len < PROC_FILE_MAX) {
		n = read(fd, text + len, PROC_FILE_MAX - len);
		if (n > 0)
			len += (size_t)n;
	}
	err = n < 0 ? -errno : 0;
	close(fd);
	if (err) {
		free(text);
		return err;
	}
	text[len] = '\0';
	*ret_text = text;
	return 0;
}

bool doctor_proc_exists(const char *root, const char *path)
{
	char full[PATH_MAX];

	return join(root, path, full) == 0 && access(full, F_OK) == 0;
}

int doctor_proc_numbers(const char *root, int64_t *ret_numbers, size_t n, const char *format, ...)
{
	int64_t numbers[8] = { 0 };
	char path[PATH_MAX];
	char *text = NULL, *p, *end = NULL;
	va_list args;
	int len, err;

	va_start(args, format);
	len = vsnprintf(path, sizeof(path), format, args);
	va_end(args);
	if (len < 0 || len >= PATH_MAX || n > sizeof(numbers) / sizeof(numbers[0]))
		return -ENAMETOOLONG;
	err = doctor_proc_file(root, path, &text);
	if (err || !text)
		return err;
	p = text;
	for (size_t i = 0; i < n && !err; i++) {
		errno = 0;
		numbers[i] = strtoll(p, &end, 10);
		if (end == p || errno)
			err = -EBADMSG;
		p = end;
	}
	free(text);
	if (!err)
		memcpy(ret_numbers, numbers, n * sizeof(*numbers));
	return err;
}

/* Exactly so many hexadecimal digits, and then `end`. */
static int parse_hex(const char *text, size_t digits, char end, uint32_t *ret_value)
{
	char copy[9] = "";

	if (strspn(text, "0123456789ABCDEFabcdef") < digits || digits >= sizeof(copy) ||
		(end != '*' && text[digits] != end))
		return -EBADMSG;
	memcpy(copy, text, digits);
	*ret_value = (uint32_t)strtoul(copy, NULL, 16);
	return 0;
}

/* "0100007F:1F90": words of 32 bits as this machine stores them, and the port as a number. */
static int parse_address(const char *text, sa_family_t family, struct sockaddr_any *ret_addr)
{
	struct sockaddr_any addr = { .sa.sa_family = family };
	size_t n_words = family == AF_INET ? 1 : 4;
	uint32_t words[4] = { 0 };
	uint32_t port;

	for (size_t i = 0; i < n_words; i++)
		if (parse_hex(text + i * 8, 8, i + 1 < n_words ? '*' : ':', &words[i]) < 0)
			return -EBADMSG;
	if (parse_hex(text + n_words * 8 + 1, 4, '\0', &port) < 0)
		return -EBADMSG;
	if (family == AF_INET)
		memcpy(&addr.in.sin_addr, words, 4);
	else
		memcpy(&addr.in6.sin6_addr, words, 16);
	sockaddr_set_port(&addr, (uint16_t)port);
	*ret_addr = addr;
	return 0;
}

/* "  sl: local remote state ..."; the heading is no such line. */
static int parse_socket(
	char *line, uint8_t protocol, sa_family_t family, struct doctor_socket *ret_socket)
{
	struct doctor_socket parsed = { .protocol = protocol };
	char local[48], remote[48], word[8];
	uint32_t state;

	if (sscanf(line, " %*[^:]: %47s %47s %7s", local, remote, word) != 3 ||
		parse_hex(word, 2, '\0', &state) < 0)
		return -EBADMSG;
	if (parse_address(local, family, &parsed.local) < 0 ||
		parse_address(remote, family, &parsed.remote) < 0)
		return -EBADMSG;
	parsed.listening = state == (protocol == IPPROTO_UDP ? STATE_CLOSE : STATE_LISTEN);
	*ret_socket = parsed;
	return 0;
}

/* Line by line, as there may be a hundred thousand; the rest are files of a few bytes. */
int doctor_proc_sockets(const char *root, uint8_t protocol, sa_family_t family,
	void (*take)(void *userdata, const struct doctor_socket *socket), void *userdata)
{
	struct doctor_socket found;
	char name[32], path[PATH_MAX];
	size_t size = 0;
	char *line = NULL;
	FILE *file;
	int err;

	snprintf(name, sizeof(name), "/proc/self/net/%s%s", protocol == IPPROTO_UDP ? "udp" : "tcp",
		family == AF_INET ? "" : "6");
	err = join(root, name, path);
	if (err)
		return err;
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (getline(&line, &size, file) >= 0)
		if (parse_socket(line, protocol, family, &found) == 0)
			take(userdata, &found);
	err = ferror(file) ? -EIO : 0;
	free(line);
	fclose(file);
	return err;
}
