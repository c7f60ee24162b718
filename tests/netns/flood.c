/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/netns/flood.c - sends one Ethernet frame again and again at a given rate: flood INTERFACE PER_SECOND SECONDS HEX [fair]
 *
 * Runs in the caller's network namespace and nowhere else. One thread a processor, because the kernel does the whole way of a frame over switches
 * and into sockets in the sender's time; in real time, but behind the daemons, so that the rate is the machine's and not its load's. Fair: not so, because
 * the kernel stops whatever runs in real time, the daemons too, for 50 ms a second when it takes more than the rest of it. Prints
 * how many went out, how long that took, and whether it was in real time.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define MAX_THREADS 4
#define REAL_TIME 1

typedef struct {
	pthread_t thread;
	int fd;
	double per_second, seconds;
	unsigned long sent;
	double took;
} Sender;

static struct mmsghdr batch[BATCH]; /* the same frame each; nobody writes to it */

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void *run(void *data)
{
	Sender *self = data;
	struct mmsghdr own[BATCH];
	double begin = now_s(), now = begin;

	memcpy(own, batch, sizeof own);
	while (now - begin < self->seconds) {
		double due = (now - begin) * self->per_second - (double)self->sent;

		if (due < BATCH) {
			struct timespec pause = { .tv_nsec = (long)((BATCH - due) / self->per_second * 1e9) };

			nanosleep(&pause, NULL);
		} else {
			int n = sendmmsg(self->fd, own, BATCH, 0);

			if (n > 0)
				self->sent += (unsigned long)n;
		}
		now = now_s();
	}
	self->took = now - begin;
	return NULL;
}

int main(int argc, char **argv)
{
	static unsigned char frame[2048];
	struct sockaddr_ll to = { .sll_family = AF_PACKET };
	static struct iovec vector = { .iov_base = frame };
	struct sched_param real_time = { .sched_priority = REAL_TIME };
	Sender senders[MAX_THREADS] = { 0 };
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	size_t length = 0, n = processors < 1 ? 1 : processors > MAX_THREADS ? MAX_THREADS : (size_t)processors;
	unsigned long sent = 0;
	double took = 0;
	unsigned int byte;
	int in_real_time;

	if (argc < 5)
		return 2;
	for (const char *at = argv[4]; length < sizeof frame && sscanf(at, "%2x", &byte) == 1; at += 2)
		frame[length++] = (unsigned char)byte;
	to.sll_ifindex = (int)if_nametoindex(argv[1]);
	if (length < ETH_HLEN || atof(argv[2]) <= 0 || to.sll_ifindex == 0) {
		perror(argv[1]);
		return 1;
	}
	vector.iov_len = length;
	for (size_t i = 0; i < BATCH; i++)
		batch[i].msg_hdr = (struct msghdr){ .msg_iov = &vector, .msg_iovlen = 1 };
	in_real_time = argc == 5 && sched_setscheduler(0, SCHED_RR, &real_time) == 0;

	for (size_t i = 0; i < n; i++) {
		int fd = socket(AF_PACKET, SOCK_RAW, 0);

		senders[i] = (Sender){ .fd = fd, .per_second = atof(argv[2]) / (double)n, .seconds = atof(argv[3]) };
		if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof to) < 0 || pthread_create(&senders[i].thread, NULL, run, &senders[i]) != 0) {
			perror(argv[1]);
			return 1;
		}
	}
	for (size_t i = 0; i < n; i++) {
		pthread_join(senders[i].thread, NULL);
		sent += senders[i].sent;
		took = senders[i].took > took ? senders[i].took : took;
		close(senders[i].fd);
	}
	printf("%lu %.3f %d\n", sent, took, in_real_time);
	return 0;
}
