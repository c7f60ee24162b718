/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/loop/heir.c - clone() with shared descriptors. */
#include "vrrpd/loop/heir.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static char stack[4096] __attribute__((aligned(16)));
static struct pollfd parent;

/* System calls alone: the C library's data are the parent's. A death signal would come with the death of the thread that called clone(); threads that
 * end after it would then be the last with the descriptors, and have to close them. What the parent's descriptor tells is the end of all. */
static int heir(void *data)
{
	(void)prctl(PR_SET_NAME, "vrrpd-heir");
	while (syscall(SYS_ppoll, &parent, 1, NULL, NULL, 8) == 0)
		;
	return 0;
}

bool vrrp_heir_start(void)
{
	sigset_t all, before;
	pid_t pid;

	parent = (struct pollfd){ .fd = (int)syscall(SYS_pidfd_open, getpid(), 0), .events = POLLIN };
	if (parent.fd < 0)
		return false;
	/* Signals to the parent's group are the parent's to answer. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = clone(heir, stack + sizeof stack, CLONE_FILES | CLONE_VM, NULL);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return pid > 0;
}
