#include "udp_ports.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define RANGE_FILE "/proc/sys/net/ipv4/ip_local_port_range"

/* The head of the mapping; written before the fork only. */
struct udp_ports {
	size_t size; /* bytes, of all of the mapping */
	size_t n_workers, n_sources, per_worker;
	uint16_t first;				       /* of the kernel's range */
	struct sockaddr_any sources[CONFIG_POOLS_MAX]; /* the first is unspecified */
	/* As in port_pool.h: [source][worker][port], so that a worker's row is in one piece. */
	_Alignas(8) uint64_t given_ms[];
};

/* Every source that a pool names, once. */
static size_t collect(const struct config *config, struct sockaddr_any *sources)
{
	size_t n = 1;

	sources[0] = (struct sockaddr_any){ .in = { .sin_family = AF_INET } };
	for (size_t p = 0; p < config->n_pools; p++)
		for (size_t s = 0; s < config->pools[p].n_sources; s++) {
			const struct sockaddr_any *source = &config->pools[p].sources[s];
			size_t i = 0;

			while (i < n && !sockaddr_equal(&sources[i], source))
				i++;
			if (i == n && n < CONFIG_POOLS_MAX)
				sources[n++] = *source;
		}
	return n;
}

static int read_range(unsigned *ret_first, unsigned *ret_last)
{
	FILE *file = fopen(RANGE_FILE, "re");
	char line[64] = "", *end;
	unsigned long first, last;

	if (!file)
		return -errno;
	if (!fgets(line, sizeof(line), file))
		line[0] = '\0';
	fclose(file);
	first = strtoul(line, &end, 10);
	last = strtoul(end, NULL, 10);
	if (first < 1 || last < first || last > UINT16_MAX)
		return -EPROTO;
	*ret_first = (unsigned)first;
	*ret_last = (unsigned)last;
	return 0;
}

int udp_ports_create(const struct config *config, size_t n_workers, struct udp_ports **ret_ports)
{
	struct sockaddr_any sources[CONFIG_POOLS_MAX];
	size_t n_sources = collect(config, sources), per_worker, size;
	unsigned first = 0, last = 0;
	struct udp_ports *ports;
	int err = read_range(&first, &last);

	if (err)
		return err;
	per_worker = (last - first + 1) / n_workers;
	if (per_worker == 0)
		return -EADDRNOTAVAIL;
	size = sizeof(*ports) + n_workers * n_sources * per_worker * sizeof(uint64_t);
	ports = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
		-1, 0);
	if (ports == MAP_FAILED)
		return -ENOMEM;
	ports->size = size;
	ports->n_workers = n_workers;
	ports->n_sources = n_sources;
	ports->per_worker = per_worker;
	ports->first = (uint16_t)first;
	memcpy(ports->sources, sources, n_sources * sizeof(sources[0]));
	*ret_ports = ports;
	return 0;
}

void udp_ports_destroy(struct udp_ports *ports)
{
	if (ports)
		munmap(ports, ports->size);
}

size_t udp_ports_sources(const struct udp_ports *ports)
{
	return ports->n_sources;
}

size_t udp_ports_find(const struct udp_ports *ports, const struct sockaddr_any *source)
{
	for (size_t i = 1; source && i < ports->n_sources; i++)
		if (sockaddr_equal(&ports->sources[i], source))
			return i;
	return 0;
}

int udp_ports_open(const struct udp_ports *ports, size_t worker, size_t source, uint64_t now_ms,
	struct port_pool *ret_pool)
{
	size_t row = (source * ports->n_workers + worker) * ports->per_worker;
	uint64_t *given_ms = (uint64_t *)(uintptr_t)ports->given_ms + row;

	assert(worker < ports->n_workers && source < ports->n_sources);
	return port_pool_init(ret_pool, given_ms, ports->per_worker,
		(uint16_t)(ports->first + worker), (uint16_t)ports->n_workers, now_ms);
}
