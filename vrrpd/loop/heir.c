/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/loop/heir.c - clone() with shared descriptors. */
#include "vrrpd/loop/heir.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static char stack[4096] __attribute__((aligned(16)));
static pid_t parent;

/* System calls alone: the C library's data are the parent's. */
static int heir(void *data)
{
	(void)prctl(PR_SET_NAME, "vrrpd-heir");
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (syscall(SYS_getppid) == parent)
		(void)syscall(SYS_ppoll, NULL, 0, NULL, NULL, 8);
	return 0;
}

bool vrrp_heir_start(void)
{
	sigset_t all, before;
	pid_t pid;

	parent = getpid();
	/* Signals to the parent's group are the parent's to answer. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = clone(heir, stack + sizeof stack, CLONE_FILES | CLONE_VM, NULL);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return pid > 0;
}
