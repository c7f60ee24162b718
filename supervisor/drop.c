/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/drop.c - libnftables, in process: a takeover cannot wait for a program to start. */
#include "supervisor/drop.h"

#include <nftables/libnftables.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/drop-orders.h"

#define TABLE DROP_TABLE
/* The pages' own port, beside the one of the Backup's pages. */
#define PAGES_PORT 9090
/* Whoever is noted stays so long, and what is left of it says when he came. */
#define NOTE_S 3600

struct DropRules {
	struct nft_ctx *nft;
	int fd; /* to the kernel, for what cannot wait for the library */
	Settings *settings;
	guint queue_port;
	bool laden; /* the library keeps what it has learnt for its last command */
};

DropRules *drop_new(void)
{
	DropRules *drop = g_new0(DropRules, 1);
	drop->fd = drop_orders_open();
	drop->nft = nft_ctx_new(NFT_CTX_DEFAULT);
	if (drop->nft) {
		nft_ctx_buffer_error(drop->nft);
		nft_ctx_buffer_output(drop->nft);
	}
	return drop;
}

void drop_free(DropRules *drop)
{
	if (!drop)
		return;
	if (drop->nft)
		nft_ctx_free(drop->nft);
	if (drop->fd >= 0)
		close(drop->fd);
	settings_unref(drop->settings);
	g_free(drop);
}

void drop_configure(DropRules *drop, const Settings *settings)
{
	settings_unref(drop->settings);
	drop->settings = settings ? settings_ref((Settings *)settings) : NULL;
}

static bool run(DropRules *drop, const char *script, GError **error)
{
	if (!drop->nft) {
		g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "libnftables cannot be used");
		return false;
	}
	drop->laden = true;
	if (nft_run_cmd_from_buffer(drop->nft, script) == 0)
		return true;
	g_autofree char *text = g_strdup(nft_ctx_get_error_buffer(drop->nft));
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s", text && *text ? g_strdelimit(g_strstrip(text), "\n", ' ') : "nftables refused");
	return false;
}

static void add_element(GString *elements, const char *host, gint64 timeout_ms)
{
	g_string_append_printf(elements, "%s%s", elements->len ? ", " : "", host);
	if (timeout_ms > 0)
		g_string_append_printf(elements, " timeout %" G_GINT64_FORMAT "ms", timeout_ms);
}

/* What passes in any case. */
static void add_passes(GString *script, const Settings *settings)
{
	g_string_append(script, "\t\tiif \"lo\" accept\n" /* the device itself may ask whether it is ready */
				/* ICMP, ICMPv6, VRRP, by number: their names stand in /etc/protocols, which a small system has not. Without
				 * ICMPv6 there is no neighbour discovery, and nobody would find the address when it is needed. */
				"\t\tmeta l4proto { 1, 58, 112 } accept\n");
	g_string_append_printf(script, "\t\ttcp dport { %d", PAGES_PORT);
	if (settings->peer_port != PAGES_PORT)
		g_string_append_printf(script, ", %u", settings->peer_port);
	if (settings->gui_port != PAGES_PORT && settings->gui_port != settings->peer_port)
		g_string_append_printf(script, ", %u", settings->gui_port);
	g_string_append(script, " } accept\n");
}

/* All service addresses of @family, as set @name; link-local ones may be there on several interfaces, and an element only once. */
static void add_set(GString *script, const char *name, const Settings *settings, sa_family_t family, gint64 timeout_ms)
{
	g_autoptr(GString) elements = g_string_new(NULL);
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	for (guint i = 0; i < settings->groups->len; i++) {
		const SettingsGroup *group = settings->groups->pdata[i];
		for (guint k = 0; k < group->addresses->len; k++) {
			const SettingsAddress *address = group->addresses->pdata[k];
			if (address->ip.family == family && g_hash_table_add(seen, g_strdup(address->host)))
				add_element(elements, address->host, timeout_ms);
		}
		if (family == AF_INET6 && settings_group_count(group, AF_INET6) && !settings_group_has_link_local(group)) {
			IpAddress derived = settings_derived_link_local(settings);
			char host[IP_TEXT_SIZE];
			if (g_hash_table_add(seen, g_strdup(ip_text(&derived, host))))
				add_element(elements, host, timeout_ms);
		}
	}
	g_string_append_printf(script, "\tset %s%c {\n\t\ttype ipv%c_addr\n\t\tflags timeout\n", name, family == AF_INET ? '4' : '6',
			       family == AF_INET ? '4' : '6');
	if (elements->len)
		g_string_append_printf(script, "\t\telements = { %s }\n", elements->str);
	g_string_append(script, "\t}\n");
}

/* One transaction: there is no moment without rules, and none with two sets of them. Who gets through because nothing is held any more is noted: a
 * set that has room for one keeps the first. */
char *drop_script(const Settings *settings, gint64 timeout_ms, guint queue_port)
{
	GString *script = g_string_new("table inet " TABLE "\n"
				       "delete table inet " TABLE "\n"
				       "table inet " TABLE " {\n");
	add_set(script, "held", settings, AF_INET, timeout_ms);
	add_set(script, "held", settings, AF_INET6, timeout_ms);
	add_set(script, "served", settings, AF_INET, 0);
	add_set(script, "served", settings, AF_INET6, 0);
	for (const char *family = "46"; *family; family++)
		g_string_append_printf(script, "\tset first%c {\n\t\ttype ipv%c_addr\n\t\tsize 1\n\t\tflags dynamic,timeout\n\t\ttimeout %ds\n\t}\n",
				       *family, *family, NOTE_S);
	g_string_append(script, "\tset queued {\n\t\ttype inet_service\n");
	if (queue_port)
		g_string_append_printf(script, "\t\telements = { %u }\n", queue_port);
	/* Whether its socket is bound to all addresses or to one does not matter, but that there is one: without it the kernel would refuse. */
	g_string_append(script, "\t}\n\tchain held {\n"
				"\t\tudp dport @queued socket wildcard { 0, 1 } return\n"
				"\t\tdrop\n"
				"\t}\n\tchain served {\n");
	add_passes(script, settings);
	g_string_append(script, "\t\tip daddr @held4 jump held\n"
				"\t\tip6 daddr @held6 jump held\n"
				"\t\tmeta nfproto ipv4 add @first4 { ip saddr }\n"
				"\t\tmeta nfproto ipv6 add @first6 { ip6 saddr }\n"
				"\t}\n"
				"\tchain input {\n"
				"\t\ttype filter hook input priority -150; policy accept;\n"
				"\t\tip daddr @served4 goto served\n"
				"\t\tip6 daddr @served6 goto served\n"
				"\t}\n}\n");
	return g_string_free(script, FALSE);
}

bool drop_always(DropRules *drop, GError **error)
{
	drop->queue_port = 0;
	if (!drop->settings)
		return true;
	g_autofree char *script = drop_script(drop->settings, 0, 0);
	return run(drop, script, error);
}

bool drop_for(DropRules *drop, gint64 duration_us, GError **error)
{
	if (!drop->settings)
		return true;
	if (duration_us < G_TIME_SPAN_MILLISECOND)
		return drop_lift(drop, error);
	g_autofree char *script = drop_script(drop->settings, duration_us / G_TIME_SPAN_MILLISECOND, drop->queue_port);
	return run(drop, script, error);
}

void drop_queue(DropRules *drop, guint port)
{
	static const char *const queued = "queued";
	if (port == drop->queue_port)
		return;
	if ((drop->queue_port && !drop_order_empty_sets(drop->fd, &queued, 1)) || (port && !drop_order_add_port(drop->fd, queued, (guint16)port)))
		g_message("what comes for UDP port %u while the application starts cannot wait for it", port);
	drop->queue_port = port;
}

bool drop_lift(DropRules *drop, GError **error)
{
	drop->queue_port = 0;
	return drop_order_delete_table(drop->fd) || run(drop, "table inet " TABLE "\ndelete table inet " TABLE "\n", error);
}

/* ---- The first one ---- */

bool drop_open(DropRules *drop, GError **error)
{
	static const char *const held[] = { "held4", "held6" };
	drop->queue_port = 0;
	return drop_order_empty_sets(drop->fd, held, G_N_ELEMENTS(held)) || drop_lift(drop, error);
}

/* "1h", "59m58s123ms" */
static gint64 parse_duration_us(const char *text)
{
	static const struct {
		const char *unit;
		gint64 us;
	} units[] = { { "ms", 1000 }, { "s", G_TIME_SPAN_SECOND }, { "m", G_TIME_SPAN_MINUTE }, { "h", G_TIME_SPAN_HOUR } };
	gint64 sum_us = 0;
	while (g_ascii_isdigit(*text)) {
		char *end;
		guint64 value = g_ascii_strtoull(text, &end, 10);
		gsize i = 0;
		while (i < G_N_ELEMENTS(units) && !g_str_has_prefix(end, units[i].unit))
			i++;
		if (i == G_N_ELEMENTS(units) || value > 24 * 3600)
			return -1;
		sum_us += (gint64)value * units[i].us;
		text = end + strlen(units[i].unit);
	}
	return sum_us;
}

bool drop_parse_first(const char *listing, char **ret_host, gint64 *ret_ago_us)
{
	const char *elements = strstr(listing, "elements = { "), *expires = elements ? strstr(elements, " expires ") : NULL;
	if (!expires)
		return false;
	gint64 left_us = parse_duration_us(expires + strlen(" expires "));
	if (left_us < 0 || left_us > NOTE_S * G_TIME_SPAN_SECOND)
		return false;
	elements += strlen("elements = { ");
	*ret_host = g_strndup(elements, strcspn(elements, " ,}\n"));
	*ret_ago_us = NOTE_S * G_TIME_SPAN_SECOND - left_us;
	return true;
}

bool drop_first(DropRules *drop, char **ret_host, gint64 *ret_ago_us)
{
	bool found = false;
	for (const char *family = "46"; *family; family++) {
		g_autofree char *script = g_strdup_printf("list set inet " TABLE " first%c", *family), *host = NULL;
		gint64 ago_us;
		if (!run(drop, script, NULL) || !drop_parse_first(nft_ctx_get_output_buffer(drop->nft), &host, &ago_us) ||
		    (found && ago_us <= *ret_ago_us))
			continue;
		if (found)
			g_free(*ret_host);
		*ret_host = g_steal_pointer(&host);
		*ret_ago_us = ago_us;
		found = true;
	}
	return found;
}

/* ---- Rest ---- */

/* The context stays: to close its socket takes the kernel 10 ms and more. A command that needs to know nothing makes it forget what it knows
 * of the tables, 500 kB for each. */
void drop_rest(DropRules *drop)
{
	if (drop->nft && drop->laden)
		(void)nft_run_cmd_from_buffer(drop->nft, "\n");
	drop->laden = false;
}
