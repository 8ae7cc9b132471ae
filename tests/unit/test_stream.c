/* stream, over real TCP sockets on loopback: bytes, modes, ends, errors, limits. */
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stream.h"

struct fixture {
	struct stats stats;
	struct stream_pool pool;
	struct stream stream;
	struct stream_end from, to;
	int source; /* the far end of from: what we write here is read by the stream */
	int sink;   /* the far end of to */
};

static void tcp_pair(int *ret_a, int *ret_b)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	const int on = 1;

	assert_int_equal(bind(listener, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
	*ret_a = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(*ret_a, (struct sockaddr *)&addr, len), 0);
	*ret_b = accept(listener, NULL, NULL);
	assert_true(*ret_b >= 0);
	setsockopt(*ret_a, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(*ret_b, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	close(listener);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	tcp_pair(&f->source, &f->from.fd);
	tcp_pair(&f->sink, &f->to.fd);
	fcntl(f->from.fd, F_SETFL, O_NONBLOCK);
	fcntl(f->to.fd, F_SETFL, O_NONBLOCK);
	f->to.writable = true;
	assert_int_equal(stream_pool_init(&f->pool, 4, 2, &f->stats), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	stream_drop(&f->pool, &f->stream);
	stream_pool_destroy(&f->pool);
	close(f->source);
	close(f->sink);
	close(f->from.fd);
	close(f->to.fd);
	free(f);
	return 0;
}

static void wait_for(int fd, short events)
{
	struct pollfd pfd = { .fd = fd, .events = events };

	assert_int_equal(poll(&pfd, 1, 5000), 1);
}

static enum stream_status pump(struct fixture *f, int *ret_error)
{
	return stream_pump(&f->pool, &f->stream, &f->from, &f->to, ret_error);
}

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 131 + (i >> 8) * 7 + (i >> 16));
}

static void test_small_message(void **state)
{
	struct fixture *f = *state;
	char buf[64];
	int error = 0;

	assert_int_equal(pump(f, &error), STREAM_DRY);
	assert_int_equal(write(f->source, "hello", 5), 5);
	wait_for(f->from.fd, POLLIN);
	f->from.readable = true;
	assert_int_equal(pump(f, &error), STREAM_DRY);
	assert_false(f->from.readable);
	assert_int_equal(read(f->sink, buf, sizeof(buf)), 5);
	assert_memory_equal(buf, "hello", 5);
	assert_int_equal(stream_bytes(&f->stream), 5);
	assert_false(stream_holds(&f->stream));
}

/* Fills both sockets and empties them again; the sink reads all bytes, in order. */
static void run_bulk(struct fixture *f, size_t total)
{
	uint8_t *out = malloc(65536), *in = malloc(65536);
	size_t sent = 0, got = 0;
	enum stream_status status = STREAM_DRY;
	int error = 0;

	fcntl(f->source, F_SETFL, O_NONBLOCK);
	fcntl(f->sink, F_SETFL, O_NONBLOCK);
	while (got < total) {
		ssize_t n;
		size_t len = total - sent < 65536 ? total - sent : 65536;

		for (size_t i = 0; i < len; i++)
			out[i] = pattern(sent + i);
		n = len ? write(f->source, out, len) : 0;
		sent += n > 0 ? (size_t)n : 0;
		f->from.readable = f->to.writable = true;
		status = pump(f, &error);
		assert_true(
			status == STREAM_DRY || status == STREAM_BLOCKED || status == STREAM_YIELD);
		assert_true(f->stream.held_len <= STREAM_BUFFER_SIZE);
		if (n > 0)
			continue; /* until nothing more fits anywhere */
		n = read(f->sink, in, 65536);
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(in[i], pattern(got + (size_t)i));
		got += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(stream_bytes(&f->stream), total);
	free(out);
	free(in);
}

static void test_bulk_uses_a_pipe_and_gives_it_back(void **state)
{
	struct fixture *f = *state;

	run_bulk(f, 64 * 1024 * 1024);
	assert_true(f->stats.value[STATS_BULK_ENTERED] >= 1);
	assert_null(f->stream.pipe);
	assert_null(f->stream.held);
	assert_int_equal(f->pool.pipes.made, 1);
}

static void test_bulk_without_pipes(void **state)
{
	struct fixture *f = *state;

	f->pool.pipes.limit = 0;
	run_bulk(f, 16 * 1024 * 1024);
	assert_true(f->stats.value[STATS_PIPE_MISSES] >= 1);
	assert_int_equal(f->pool.pipes.made, 0);
	assert_null(f->stream.held);
}

static void test_small_messages_leave_bulk(void **state)
{
	struct fixture *f = *state;
	char buf[16];
	int error = 0;

	run_bulk(f, 8 * 1024 * 1024);
	assert_true(f->stream.bulk);
	fcntl(f->sink, F_SETFL, 0);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(write(f->source, "x", 1), 1);
		wait_for(f->from.fd, POLLIN);
		f->from.readable = f->to.writable = true;
		assert_int_equal(pump(f, &error), STREAM_DRY);
		assert_int_equal(read(f->sink, buf, sizeof(buf)), 1);
	}
	assert_false(f->stream.bulk);
}

/* The same when no pipe was to be had: it must not be said of small messages that they miss one. */
static void test_small_messages_leave_bulk_without_pipes(void **state)
{
	struct fixture *f = *state;
	char buf[16];
	int error = 0;

	f->pool.pipes.limit = 0;
	f->stream.bulk = true;
	for (int i = 0; i < 20; i++) {
		assert_int_equal(write(f->source, "x", 1), 1);
		wait_for(f->from.fd, POLLIN);
		f->from.readable = f->to.writable = true;
		assert_int_equal(pump(f, &error), STREAM_DRY);
		assert_int_equal(read(f->sink, buf, sizeof(buf)), 1);
	}
	assert_false(f->stream.bulk);
	assert_true(f->stats.value[STATS_PIPE_MISSES] <= 16);
}

static void test_bulk_is_entered_once(void **state)
{
	const int full = STREAM_BUFFER_SIZE;
	struct fixture *f = *state;
	char *buf = calloc(1, STREAM_BUFFER_SIZE);
	int error = 0;

	f->pool.pipes.limit = 0;
	/* So that the socket is ready when a whole buffer is there. */
	setsockopt(f->from.fd, SOL_SOCKET, SO_RCVLOWAT, &full, sizeof(full));
	for (int i = 0; i < 20; i++) {
		assert_int_equal(write(f->source, buf, STREAM_BUFFER_SIZE), STREAM_BUFFER_SIZE);
		wait_for(f->from.fd, POLLIN);
		f->from.readable = f->to.writable = true;
		assert_int_equal(pump(f, &error), STREAM_DRY);
		assert_int_equal(
			recv(f->sink, buf, STREAM_BUFFER_SIZE, MSG_WAITALL), STREAM_BUFFER_SIZE);
	}
	assert_true(f->stream.bulk);
	assert_int_equal(f->stats.value[STATS_BULK_ENTERED], 1);
	free(buf);
}

static void test_end_of_stream(void **state)
{
	struct fixture *f = *state;
	char buf[64];
	int error = 0;

	assert_int_equal(write(f->source, "bye", 3), 3);
	shutdown(f->source, SHUT_WR);
	wait_for(f->from.fd, POLLRDHUP);
	f->from.readable = f->from.ending = f->from.fin = true;
	assert_int_equal(pump(f, &error), STREAM_ENDED);
	assert_true(f->stream.ended);
	/* Held back for the FIN, and not lost: */
	shutdown(f->to.fd, SHUT_WR);
	assert_int_equal(read(f->sink, buf, sizeof(buf)), 3);
	assert_int_equal(read(f->sink, buf, sizeof(buf)), 0);
}

static void test_end_of_an_empty_stream(void **state)
{
	struct fixture *f = *state;
	int error = 0;

	shutdown(f->source, SHUT_WR);
	wait_for(f->from.fd, POLLRDHUP);
	f->from.readable = f->from.ending = f->from.fin = true;
	assert_int_equal(pump(f, &error), STREAM_ENDED);
	assert_int_equal(stream_bytes(&f->stream), 0);
}

static void reset(int fd)
{
	const struct linger zero = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &zero, sizeof(zero));
	/* Keeps the number in use, so that teardown closes nothing of others. */
	assert_int_equal(dup2(STDERR_FILENO, fd), fd);
}

static void test_data_before_a_reset_arrives(void **state)
{
	struct fixture *f = *state;
	char buf[64];
	int error = 0;

	assert_int_equal(write(f->source, "last", 4), 4);
	wait_for(f->from.fd, POLLIN);
	reset(f->source);
	wait_for(f->from.fd, POLLHUP);
	f->from.readable = f->from.ending = true;
	assert_int_equal(pump(f, &error), STREAM_FROM_ERROR);
	assert_int_equal(error, ECONNRESET);
	assert_int_equal(read(f->sink, buf, sizeof(buf)), 4);
	assert_false(f->stream.ended);
}

static void test_writing_to_a_reset_socket(void **state)
{
	struct fixture *f = *state;
	int error = 0;

	reset(f->sink);
	wait_for(f->to.fd, POLLHUP);
	assert_int_equal(write(f->source, "x", 1), 1);
	wait_for(f->from.fd, POLLIN);
	f->from.readable = true;
	assert_int_equal(pump(f, &error), STREAM_TO_ERROR);
	assert_int_equal(error, ECONNRESET);
}

/* An urgent byte cuts reads short; nothing is lost, nothing stalls, in either mode. */
static void test_urgent_data(void **state)
{
	struct fixture *f = *state;
	char buf[64] = { 0 };
	const int on = 1;
	int error = 0;
	size_t got = 0;

	for (int bulk = 0; bulk < 2; bulk++) {
		f->stream.bulk = bulk;
		setsockopt(f->from.fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
		assert_int_equal(write(f->source, "abc", 3), 3);
		assert_int_equal(send(f->source, "U", 1, MSG_OOB), 1);
		assert_int_equal(write(f->source, "def", 3), 3);
		wait_for(f->from.fd, POLLPRI);
		f->from.urgent = true;
		for (got = 0; got < 7;) {
			wait_for(f->from.fd, POLLIN);
			f->from.readable = true;
			while (pump(f, &error) == STREAM_YIELD)
				continue;
			got += (size_t)read(f->sink, buf + got, sizeof(buf) - got);
		}
		assert_memory_equal(buf, "abcUdef", 7);
	}
}

/* The mark, more data and the FIN come before their event is seen: splice stops at the mark, and
 * says 0. */
static void test_urgent_data_and_the_end_unannounced(void **state)
{
	struct fixture *f = *state;
	static char data[20000];
	size_t got = 0;
	const int on = 1;
	int error = 0;

	setsockopt(f->from.fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
	assert_int_equal(write(f->source, data, 10000), 10000);
	assert_int_equal(send(f->source, "U", 1, MSG_OOB), 1);
	assert_int_equal(write(f->source, data, 5000), 5000);
	shutdown(f->source, SHUT_WR);
	wait_for(f->from.fd, POLLRDHUP);
	f->stream.bulk = f->from.readable = true;
	while (pump(f, &error) != STREAM_ENDED)
		f->from.readable = true; /* as the event that is still to come will say */
	shutdown(f->to.fd, SHUT_WR);
	for (ssize_t n = 1; n > 0; got += (size_t)n)
		n = read(f->sink, data, sizeof(data));
	assert_int_equal(got, 15001);
	assert_int_equal(stream_bytes(&f->stream), 15001);
}

static void test_header_and_first_bytes_in_one_send(void **state)
{
	struct fixture *f = *state;
	char buf[64] = { 0 };
	int error = 0;

	assert_int_equal(write(f->source, "GET", 3), 3);
	wait_for(f->from.fd, POLLIN);
	f->from.readable = true;
	assert_int_equal(stream_open(&f->pool, &f->stream, &f->from, &f->to, "HEADER", 6, &error),
		STREAM_YIELD);
	wait_for(f->sink, POLLIN);
	assert_int_equal(read(f->sink, buf, sizeof(buf)), 9);
	assert_string_equal(buf, "HEADERGET");
	assert_int_equal(stream_bytes(&f->stream), 3);
}

static void test_header_alone(void **state)
{
	struct fixture *f = *state;
	char buf[64] = { 0 };
	int error = 0;

	assert_int_equal(stream_open(&f->pool, &f->stream, &f->from, &f->to, "HEADER", 6, &error),
		STREAM_YIELD);
	assert_int_equal(read(f->sink, buf, sizeof(buf)), 6);
	assert_int_equal(stream_bytes(&f->stream), 0);
}

/* With every buffer held by others, a stream keeps nothing, loses nothing, and goes on all the
 * same. */
static void test_no_buffer_to_be_had(void **state)
{
	struct fixture *f = *state;
	void *taken[3];
	uint8_t *spare = f->pool.spare;
	char buf[16];
	int error = 0;

	for (int i = 0; i < 3; i++)
		taken[i] = slab_get(&f->pool.buffers);
	f->pool.spare = NULL;
	f->pool.pipes.limit = 0;
	assert_int_equal(stream_open(&f->pool, &f->stream, &f->from, &f->to, "HEADER", 6, &error),
		STREAM_YIELD);
	assert_int_equal(read(f->sink, buf, sizeof(buf)), 6);
	run_bulk(f, 16 * 1024 * 1024);
	assert_null(f->stream.held);
	assert_true(f->stats.value[STATS_BUFFER_MISSES] > 0);
	slab_put(&f->pool.buffers, spare);
	for (int i = 0; i < 3; i++)
		slab_put(&f->pool.buffers, taken[i]);
}

static void test_dropping_a_full_pipe(void **state)
{
	struct fixture *f = *state;
	static char data[65536];
	int error = 0;

	fcntl(f->source, F_SETFL, O_NONBLOCK);
	f->stream.bulk = true;
	for (int i = 0; i < 1000; i++) {
		if (write(f->source, data, sizeof(data)) < 0 && f->stream.pipe_len > 0)
			break;
		f->from.readable = true;
		(void)pump(f, &error);
	}
	assert_true(f->stream.pipe_len > 0);
	stream_drop(&f->pool, &f->stream);
	assert_int_equal(f->pool.pipes.made, 0);
	assert_null(f->stream.pipe);
}

#define STREAM_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STREAM_TEST(test_small_message),
		STREAM_TEST(test_bulk_uses_a_pipe_and_gives_it_back),
		STREAM_TEST(test_bulk_without_pipes),
		STREAM_TEST(test_small_messages_leave_bulk),
		STREAM_TEST(test_small_messages_leave_bulk_without_pipes),
		STREAM_TEST(test_bulk_is_entered_once),
		STREAM_TEST(test_end_of_stream),
		STREAM_TEST(test_end_of_an_empty_stream),
		STREAM_TEST(test_data_before_a_reset_arrives),
		STREAM_TEST(test_writing_to_a_reset_socket),
		STREAM_TEST(test_urgent_data),
		STREAM_TEST(test_urgent_data_and_the_end_unannounced),
		STREAM_TEST(test_header_and_first_bytes_in_one_send),
		STREAM_TEST(test_header_alone),
		STREAM_TEST(test_no_buffer_to_be_had),
		STREAM_TEST(test_dropping_a_full_pipe),
	};

	return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
