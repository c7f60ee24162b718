/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/netns/slow_kernel.c - the kernel's lock for links, addresses and routes (RTNL), held by somebody else, for chosen processes: preloaded, it
 * makes each call that takes that lock wait as long as the file named by KERNEL_LOCK is there, and tells on standard error which thread waits. To
 * hold the lock itself would stop the whole machine.
 *
 * Those that take it: every change, and questions about links; of the socket options, those that join a group, and to close a socket that has joined
 * one. To close a packet socket waits for all processors instead, which may take as long. Questions about addresses, routes and neighbours do not wait
 * (since Linux 6.9). Some kernel settings are neither: whoever opens one of those is told of, because in real time he would spin.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void take_lock(const char *what, int detail)
{
	static const struct timespec a_moment = { .tv_nsec = 500000 };
	const char *lock = getenv("KERNEL_LOCK");
	int saved_errno = errno;

	if (lock && access(lock, F_OK) == 0) {
		char text[128];
		int length = snprintf(text, sizeof text, "slow-kernel: %s %s %d\n", getpid() == syscall(SYS_gettid) ? "main" : "thread", what, detail);

		(void)!write(STDERR_FILENO, text, (size_t)length);
		while (access(lock, F_OK) == 0)
			(void)nanosleep(&a_moment, NULL);
	}
	errno = saved_errno;
}

static void look_at(int fd, const void *data, size_t length)
{
	const struct nlmsghdr *header = data;
	int domain = 0, protocol = -1;
	socklen_t size = sizeof domain, size2 = sizeof protocol;

	if (length < sizeof *header || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 || domain != AF_NETLINK ||
	    getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size2) < 0 || protocol != NETLINK_ROUTE)
		return;
	if ((header->nlmsg_type - RTM_BASE) % 4 != RTM_GETLINK - RTM_BASE || header->nlmsg_type == RTM_GETLINK)
		take_lock("request", header->nlmsg_type);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	if (message->msg_iovlen > 0)
		look_at(fd, message->msg_iov[0].iov_base, message->msg_iov[0].iov_len);
	return NEXT(sendmsg)(fd, message, flags);
}

ssize_t send(int fd, const void *data, size_t length, int flags)
{
	look_at(fd, data, length);
	return NEXT(send)(fd, data, length, flags);
}

ssize_t sendto(int fd, const void *data, size_t length, int flags, const struct sockaddr *to, socklen_t to_length)
{
	look_at(fd, data, length);
	return NEXT(sendto)(fd, data, length, flags, to, to_length);
}

static void look_at_path(const char *path)
{
	static const char text[] = "slow-kernel: spinning\n";

	if (strstr(path, "/addr_gen_mode") || strstr(path, "/forwarding") || strstr(path, "/proxy_ndp"))
		(void)!write(STDERR_FILENO, text, sizeof text - 1);
}

/* Which is open64() here, as in vrrpd. */
int open(const char *path, int flags, ...)
{
	va_list arguments;
	mode_t mode;

	va_start(arguments, flags);
	mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
	va_end(arguments);
	look_at_path(path);
	return openat(AT_FDCWD, path, flags, mode);
}

static unsigned char joined[1024];

int setsockopt(int fd, int level, int option, const void *value, socklen_t length)
{
	if ((level == IPPROTO_IP && option == IP_ADD_MEMBERSHIP) || (level == IPPROTO_IPV6 && option == IPV6_JOIN_GROUP) ||
	    (level == SOL_PACKET && option == PACKET_ADD_MEMBERSHIP)) {
		take_lock("group", level);
		if (fd >= 0 && (size_t)fd < sizeof joined)
			joined[fd] = 1;
	}
	return NEXT(setsockopt)(fd, level, option, value, length);
}

int close(int fd)
{
	int domain = 0, saved_errno = errno;
	socklen_t size = sizeof domain;
	int has_joined = fd >= 0 && (size_t)fd < sizeof joined && joined[fd];

	if (has_joined || (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_PACKET))
		take_lock("close", domain);
	if (has_joined)
		joined[fd] = 0;
	errno = saved_errno;
	return NEXT(close)(fd);
}
