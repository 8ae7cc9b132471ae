#include "listener.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nft_hold.h"
#include "udp_batch.h"

static int set_flag(int fd, int level, int option)
{
	const int on = 1;

	return setsockopt(fd, level, option, &on, sizeof(on)) < 0 ? -errno : 0;
}

/* Lets the socket have an address that this machine has not, and speak for it. */
static int make_free(int fd, const struct config_bind *bind, bool absent)
{
	bool v6 = sockaddr_family(&bind->addr) == AF_INET6;
	int err = 0;

	if (absent)
		err = v6 ? set_flag(fd, IPPROTO_IPV6, IPV6_FREEBIND)
			 : set_flag(fd, IPPROTO_IP, IP_FREEBIND);
	if (!err && config_bind_diverted(bind))
		err = v6 ? set_flag(fd, IPPROTO_IPV6, IPV6_TRANSPARENT)
			 : set_flag(fd, IPPROTO_IP, IP_TRANSPARENT);
	return err;
}

static int open_bound(const struct config_listener *config, const struct config_bind *bind_to,
	bool absent, bool shared, int *ret_fd)
{
	const struct sockaddr_any *bind_addr = &bind_to->addr;
	bool udp = config->protocol == IPPROTO_UDP;
	int v6only = config->v6only;
	int fd, err = 0;

	fd = socket(sockaddr_family(bind_addr),
		(udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* Of datagrams it would let others share, and take, the address. */
	if (!udp)
		err = set_flag(fd, SOL_SOCKET, SO_REUSEADDR);
	if (!err && shared)
		err = set_flag(fd, SOL_SOCKET, SO_REUSEPORT);
	if (!err && sockaddr_family(bind_addr) == AF_INET6 &&
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only)) < 0)
		err = -errno;
	if (!err)
		err = make_free(fd, bind_to, absent);
	if (!err && bind(fd, &bind_addr->sa, sockaddr_len(bind_addr)) < 0)
		err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

int listener_probe(const struct config_listener *config, const struct config_bind *bind,
	bool absent, bool shared)
{
	int fd = -1, err;

	err = open_bound(config, bind, absent, shared, &fd);
	if (!err)
		close(fd);
	return err;
}

/* As large as is asked for if we may, or as large as we may. */
static void set_buffer(int fd, int force, int option, uint32_t bytes)
{
	const int size = (int)(bytes / 2); /* the kernel counts its own needs, and doubles it */

	if (setsockopt(fd, SOL_SOCKET, force, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, option, &size, sizeof(size));
}

int listener_steer(int fd)
{
	/* An index that is out of range leaves the choice to the kernel. */
	struct sock_filter code[] = {
		{ BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)(SKF_AD_OFF + SKF_AD_MARK) },
		{ BPF_ALU | BPF_SUB | BPF_K, 0, 0, NFT_HOLD_MARK_WORKER },
		{ BPF_RET | BPF_A, 0, 0, 0 },
	};
	const struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)) < 0
		       ? -errno
		       : 0;
}

void listener_unsteer(int fd)
{
	const int unused = 0;

	(void)setsockopt(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &unused, sizeof(unused));
}

int listener_adopt(int fd, const struct config_listener *config)
{
	return listen(fd, (int)config->backlog) < 0 ? -errno : 0;
}

int listener_open_udp(const struct config_listener *config, const struct config_bind *bind,
	bool absent, int *ret_fd)
{
	sa_family_t family = sockaddr_family(&bind->addr);
	int fd = -1, err;

	err = open_bound(config, bind, absent, true, &fd);
	if (err)
		return err;
	err = udp_batch_prepare_listener(fd, family);
	/* Answers leave from addresses that this machine may not have, or not yet. */
	if (!err)
		err = family == AF_INET6 ? set_flag(fd, IPPROTO_IPV6, IPV6_FREEBIND)
					 : set_flag(fd, IPPROTO_IP, IP_FREEBIND);
	if (err) {
		close(fd);
		return err;
	}
	set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, config->receive_buffer);
	set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, config->receive_buffer);
	*ret_fd = fd;
	return 0;
}

int listener_open(const struct config_listener *config, const struct config_bind *bind, bool absent,
	int *ret_fd)
{
	const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	int fd = -1, err;

	err = open_bound(config, bind, absent, true, &fd);
	if (err)
		return err;
	/* Here and not on each accepted socket, which inherits them: three calls less per client.
	 */
	err = set_flag(fd, IPPROTO_TCP, TCP_NODELAY);
	if (!err)
		err = set_flag(fd, SOL_SOCKET, SO_OOBINLINE);
	if (!err && setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) < 0)
		err = -errno;
	if (!err && listen(fd, (int)config->backlog) < 0)
		err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}
