/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/netns/flood.c - sends one Ethernet frame again and again at a given rate: flood INTERFACE PER_SECOND SECONDS HEX
 *
 * Runs in the caller's network namespace and nowhere else. Prints how many went out and how long that took.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	unsigned char frame[2048];
	size_t length = 0;
	struct sockaddr_ll to = { .sll_family = AF_PACKET };
	struct iovec vector = { .iov_base = frame };
	struct mmsghdr batch[BATCH];
	double per_second, seconds, begin, now;
	unsigned long sent = 0;
	unsigned int byte;
	int fd;

	if (argc != 5)
		return 2;
	for (const char *at = argv[4]; length < sizeof frame && sscanf(at, "%2x", &byte) == 1; at += 2)
		frame[length++] = (unsigned char)byte;
	per_second = atof(argv[2]);
	seconds = atof(argv[3]);
	to.sll_ifindex = (int)if_nametoindex(argv[1]);
	fd = socket(AF_PACKET, SOCK_RAW, 0);
	if (length < ETH_HLEN || per_second <= 0 || fd < 0 || to.sll_ifindex == 0 || bind(fd, (struct sockaddr *)&to, sizeof to) < 0) {
		perror(argv[1]);
		return 1;
	}
	vector.iov_len = length;
	memset(batch, 0, sizeof batch);
	for (size_t i = 0; i < BATCH; i++)
		batch[i].msg_hdr = (struct msghdr){ .msg_iov = &vector, .msg_iovlen = 1 };

	begin = now = now_s();
	while (now - begin < seconds) {
		double due = (now - begin) * per_second - (double)sent;

		if (due < BATCH) {
			struct timespec pause = { .tv_nsec = (long)((BATCH - due) / per_second * 1e9) };

			nanosleep(&pause, NULL);
		} else {
			int n = sendmmsg(fd, batch, BATCH, 0);

			if (n > 0)
				sent += (unsigned long)n;
		}
		now = now_s();
	}
	printf("%lu %.3f\n", sent, now - begin);
	close(fd);
	return 0;
}
