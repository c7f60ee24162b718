/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/kernel/lock.h - a lock between the loop and its thread, which runs as the loop does while the loop waits for it. */
#pragma once

#include <pthread.h>

static inline void vrrp_lock_init(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	(void)pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(lock, &attributes);
	pthread_mutexattr_destroy(&attributes);
}
