/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notifyd/trap/target.c - the settings of a receiver of traps. */
#include "notifyd/trap/target.h"

#include <string.h>

#define SHORTEST 8 /* of a password, by RFC 3414 */

static const struct {
	const char *name, *net_snmp;
} auths[] = { { "sha256", "SHA-256" }, { "sha", "SHA" }, { "sha224", "SHA-224" }, { "sha384", "SHA-384" }, { "sha512", "SHA-512" } };

static void wipe(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	g_free(secret);
}

void trap_target_free(TrapTarget *target)
{
	if (!target)
		return;
	wipe(target->community);
	wipe(target->auth_password);
	wipe(target->priv_password);
	g_free(target->user);
	g_free(target);
}

static bool refuse(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
static bool refuse(GError **error, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	text = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_set_error_literal(error, DELIVERY_ERROR, DELIVERY_ERROR_REFUSED, text);
	return false;
}

static bool read_password(const DeliveryJob *job, const char *key, char **ret_password, GError **error)
{
	*ret_password = delivery_job_target(job, key);
	if (!*ret_password)
		return refuse(error, "version 3 needs the secret %s", key);
	if (strlen(*ret_password) < SHORTEST)
		return refuse(error, "%s is shorter than 8 characters, which version 3 does not have", key);
	return true;
}

static bool read_v3(TrapTarget *target, const DeliveryJob *job, GError **error)
{
	g_autofree char *auth = delivery_job_target(job, "auth"), *priv = delivery_job_target(job, "priv");

	target->user = delivery_job_target(job, "user");
	if (!target->user)
		return refuse(error, "version 3 needs a %s", "user");
	for (gsize i = 0; i < G_N_ELEMENTS(auths); i++)
		if (g_str_equal(auth ? auth : "sha256", auths[i].name))
			target->auth = auths[i].net_snmp;
	if (!target->auth)
		return refuse(error, "auth=%s is not known", auth);
	target->encrypted = !priv || g_str_equal(priv, "aes");
	if (!target->encrypted && !g_str_equal(priv, "none"))
		return refuse(error, "priv=%s is not known", priv);
	return read_password(job, "auth-password", &target->auth_password, error) &&
	       (!target->encrypted || read_password(job, "priv-password", &target->priv_password, error));
}

TrapTarget *trap_target_read(const DeliveryJob *job, GError **error)
{
	g_autoptr(TrapTarget) target = g_new0(TrapTarget, 1);
	g_autofree char *version = delivery_job_target(job, "version"), *kind = delivery_job_target(job, "kind");

	target->v3 = version && g_str_equal(version, "3");
	if (version && !target->v3 && !g_str_equal(version, "2c")) {
		(void)refuse(error, "version=%s is not known", version);
		return NULL;
	}
	target->inform = kind && g_str_equal(kind, "inform");
	if (kind && !target->inform && !g_str_equal(kind, "trap")) {
		(void)refuse(error, "kind=%s is not known", kind);
		return NULL;
	}
	if (target->v3)
		return read_v3(target, job, error) ? g_steal_pointer(&target) : NULL;
	target->community = delivery_job_target(job, "community");
	if (!target->community) {
		(void)refuse(error, "version 2c needs the secret %s", "community");
		return NULL;
	}
	return g_steal_pointer(&target);
}
