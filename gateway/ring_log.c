#include "ring_log.h"

#include <string.h>

#include "access_log.h"
#include "log.h"

static void sink(void *userdata, enum log_level level, const char *line, size_t len)
{
	const struct ring_log *log = userdata;
	char data[LOG_LINE_MAX + 1];

	data[0] = (char)level;
	memcpy(data + 1, line, len);
	ring_send(log->ring, log->wake_fd, ACCESS_LOG_RING_LINE, data, len + 1);
}

void ring_log_use(struct ring_log *log)
{
	log_set_sink(sink, log);
}
