/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/trap/main.c - understudy-trap: one notification to the receivers of one job (notifyd/DELIVERY.md). */
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "notifyd/delivery/answer.h"
#include "notifyd/trap/engine.h"
#include "notifyd/trap/send.h"

#define PROGRAM     "understudy-trap"
#define PORT        162
#define ENGINE_FILE "/var/lib/understudy/notify/snmp-engine"
#define DEVICE_FILE "/etc/understudy/device.conf"

/* "192.0.2.1:162" as net-snmp wants it. By ourselves, for its own resolver knows no IPv6 where one has not said so. */
static char *resolve(const char *recipient, DeliveryOutcome *ret_outcome, char **ret_words)
{
	const struct addrinfo wanted = { .ai_socktype = SOCK_DGRAM, .ai_flags = AI_ADDRCONFIG };
	g_autoptr(GError) error = NULL;
	g_autofree char *host = NULL;
	char name[NI_MAXHOST];
	struct addrinfo *found;
	guint16 port;

	*ret_outcome = DELIVERY_REFUSED;
	if (!delivery_parse_host(recipient, PORT, &host, &port, &error)) {
		*ret_words = g_strdup(error->message);
		return NULL;
	}
	*ret_outcome = DELIVERY_RETRY;
	int code = getaddrinfo(host, NULL, &wanted, &found);
	if (code == EAI_ADDRFAMILY || code == EAI_NONAME) {
		/* Where a device has only loopback, AI_ADDRCONFIG hides even numbers. */
		const struct addrinfo number = { .ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICHOST };
		if (getaddrinfo(host, NULL, &number, &found) == 0)
			code = 0;
	}
	if (code != 0) {
		*ret_words = g_strdup_printf("%s: %s", host, gai_strerror(code));
		return NULL;
	}
	bool v6 = found->ai_family == AF_INET6;
	code = getnameinfo(found->ai_addr, found->ai_addrlen, name, sizeof(name), NULL, 0, NI_NUMERICHOST);
	freeaddrinfo(found);
	if (code != 0) {
		*ret_words = g_strdup(gai_strerror(code));
		return NULL;
	}
	return v6 ? g_strdup_printf("udp6:[%s]:%u", name, port) : g_strdup_printf("udp:%s:%u", name, port);
}

int main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(TrapTarget) target = NULL;
	TrapEngine engine;

	DeliveryRun *run = delivery_run_begin(PROGRAM, STDIN_FILENO);
	if (!run)
		return 2;
	const DeliveryJob *job = delivery_run_job(run);
	target = trap_target_read(job, &error);
	if (!target) {
		delivery_run_fail(run, error);
		return delivery_run_end(run);
	}
	delivery_run_hide(run, target->community);
	delivery_run_hide(run, target->auth_password);
	delivery_run_hide(run, target->priv_password);
	bool ours = target->v3 && !target->inform;
	delivery_run_step(run, "reading " ENGINE_FILE);
	if (ours && !engine_load(&engine, ENGINE_FILE, DEVICE_FILE, &error)) {
		delivery_run_fail(run, error);
		return delivery_run_end(run);
	}
	trap_library_begin();
	for (guint i = 0; job->to[i]; i++) {
		g_autofree char *words = NULL;
		DeliveryOutcome outcome;

		delivery_run_step(run, "looking for the address of %s", job->to[i]);
		g_autofree char *address = resolve(job->to[i], &outcome, &words);
		if (address) {
			delivery_run_step(run, "waiting for %s", job->to[i]);
			/* Those that are left share the time. */
			gint64 share_ms = delivery_run_left_ms(run) / (g_strv_length(job->to) - i);
			outcome = trap_send(job, target, ours ? &engine : NULL, address, share_ms, &words);
		}
		delivery_run_answer(run, i, outcome, words);
	}
	return delivery_run_end(run);
}
