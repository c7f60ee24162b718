/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/applications/probe.c - /proc/net, and a small SIP client: one request, one answer, no transaction. */
#include "supervisor/applications/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TCP_LISTEN 0x0a
#define DEFAULT_HOST "127.0.0.1"

/* ---- Ports ---- */

/* The kernel prints addresses as 32-bit words of its own byte order. */
static bool parse_words(const char *hex, gsize n_words, guint8 *ret_bytes)
{
	for (gsize i = 0; i < n_words; i++) {
		g_autofree char *word = g_strndup(hex + 8 * i, 8);
		guint64 value;
		if (!g_ascii_string_to_unsigned(word, 16, 0, G_MAXUINT32, &value, NULL))
			return false;
		guint32 native = (guint32)value;
		memcpy(ret_bytes + 4 * i, &native, sizeof native);
	}
	return true;
}

static bool is_zero(const guint8 *bytes, gsize n)
{
	while (n > 0 && bytes[n - 1] == 0)
		n--;
	return n == 0;
}

/* "0100007F:13C4" */
static bool matches(const char *local, bool ipv6, const SettingsCheck *check)
{
	gsize digits = ipv6 ? 32 : 8;
	guint8 bound[16], wanted[16];
	guint64 port;
	if (strlen(local) != digits + 5 || local[digits] != ':' || !parse_words(local, digits / 8, bound) ||
	    !g_ascii_string_to_unsigned(local + digits + 1, 16, 0, 65535, &port, NULL) || port != check->port)
		return false;
	if (!check->host || is_zero(bound, digits / 2))
		return true; /* bound to :: it has IPv4, too */
	bool wants_ipv6 = strchr(check->host, ':');
	return wants_ipv6 == ipv6 && inet_pton(ipv6 ? AF_INET6 : AF_INET, check->host, wanted) == 1 && memcmp(bound, wanted, digits / 2) == 0;
}

bool probe_find_port(const char *table, bool ipv6, const SettingsCheck *check)
{
	g_auto(GStrv) lines = g_strsplit(table, "\n", -1);
	for (char **line = lines; *line; line++) {
		g_auto(GStrv) words = g_strsplit_set(g_strstrip(*line), " ", 5); /* number, local, remote, state */
		if (g_strv_length(words) < 4 || !matches(words[1], ipv6, check))
			continue;
		if (!check->tcp || g_ascii_strtoull(words[3], NULL, 16) == TCP_LISTEN)
			return true;
	}
	return false;
}

bool probe_port(const SettingsCheck *check)
{
	static const char *const files[2][2] = { { "/proc/net/udp", "/proc/net/udp6" }, { "/proc/net/tcp", "/proc/net/tcp6" } };
	for (gsize ipv6 = 0; ipv6 < 2; ipv6++) {
		g_autofree char *table = NULL;
		if (g_file_get_contents(files[check->tcp][ipv6], &table, NULL, NULL) && probe_find_port(table, ipv6 == 1, check))
			return true;
	}
	return false;
}

/* ---- SIP ---- */

char *probe_sip_request(const SettingsCheck *check, const char *local, const char *call_id)
{
	const char *host = check->host ? check->host : DEFAULT_HOST, *open = strchr(host, ':') ? "[" : "", *close = *open ? "]" : "";
	return g_strdup_printf("OPTIONS sip:%s%s%s:%u SIP/2.0\r\n"
			       "Via: SIP/2.0/%s %s;branch=z9hG4bK%.16s;rport\r\n"
			       "Max-Forwards: 70\r\n"
			       "From: <sip:understudy@%s>;tag=%.8s\r\n"
			       "To: <sip:%s%s%s:%u>\r\n"
			       "Call-ID: %s\r\n"
			       "CSeq: 1 OPTIONS\r\n"
			       "Contact: <sip:understudy@%s>\r\n"
			       "Accept: application/sdp\r\n"
			       "User-Agent: understudy\r\n"
			       "Content-Length: 0\r\n\r\n",
			       open, host, close, check->port, check->tcp ? "TCP" : "UDP", local, call_id, local, call_id, open, host, close,
			       check->port, call_id, local);
}

guint probe_sip_status(const char *text, const char *call_id)
{
	static const char version[] = "SIP/2.0 ", next[] = "\nSIP/2.0 "; /* a stream may hold a provisional one before it */
	const char *at = g_str_has_prefix(text, version) ? text : NULL;
	while (at && strstr(at, call_id)) {
		guint64 status = g_ascii_strtoull(at + strlen(version), NULL, 10);
		if (status >= 200)
			return status < 700 ? (guint)status : 0;
		at = strstr(at, next);
		at = at ? at + 1 : NULL;
	}
	return 0;
}

struct Probe {
	int fd;
	guint io, timer;
	bool sent;
	char *call_id, *request;
	gsize n_read;
	char answer[4096];
	const char *why; /* what is to be said by the timer; it is the one who says everything that is not an answer */
	ProbeDoneCb done;
	gpointer user_data;
};

void probe_free(Probe *probe)
{
	if (!probe)
		return;
	if (probe->io)
		g_source_remove(probe->io);
	if (probe->timer)
		g_source_remove(probe->timer);
	if (probe->fd >= 0)
		close(probe->fd);
	g_free(probe->call_id);
	g_free(probe->request);
	g_free(probe);
}

static void finish(Probe *probe, const char *why)
{
	ProbeDoneCb done = probe->done;
	gpointer user_data = probe->user_data;
	probe_free(probe);
	done(*why == '\0', why, user_data);
}

static gboolean on_time(gpointer user_data)
{
	Probe *probe = user_data;
	probe->timer = 0;
	finish(probe, probe->why);
	return G_SOURCE_REMOVE;
}

static void finish_soon(Probe *probe, const char *why)
{
	if (probe->timer)
		g_source_remove(probe->timer);
	probe->why = why;
	probe->timer = g_timeout_add(0, on_time, probe);
}

static gboolean on_socket(gint fd, GIOCondition condition, gpointer user_data)
{
	Probe *probe = user_data;
	if (!probe->sent) {
		gsize length = strlen(probe->request);
		probe->sent = send(fd, probe->request, length, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)length;
		probe->io = 0;
		if (!probe->sent)
			finish(probe, "nobody is there to be asked OPTIONS");
		else
			probe->io = g_unix_fd_add(fd, G_IO_IN | G_IO_ERR | G_IO_HUP, on_socket, probe);
		return G_SOURCE_REMOVE;
	}
	ssize_t n = recv(fd, probe->answer + probe->n_read, sizeof probe->answer - 1 - probe->n_read, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return G_SOURCE_CONTINUE;
	if (n <= 0) {
		probe->io = 0;
		finish(probe, "nobody is there to be asked OPTIONS");
		return G_SOURCE_REMOVE;
	}
	probe->answer[probe->n_read + (gsize)n] = '\0';
	guint status = probe_sip_status(probe->answer, probe->call_id);
	int type = SOCK_DGRAM;
	socklen_t size = sizeof type;
	(void)getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);
	if (status == 0) {
		probe->n_read = type == SOCK_STREAM ? probe->n_read + (gsize)n : 0; /* more of it may come; a datagram is one answer */
		if (probe->n_read < sizeof probe->answer - 1)
			return G_SOURCE_CONTINUE;
	}
	probe->io = 0;
	finish(probe, status > 0 && status < 500 ? "" : "OPTIONS is answered with an error");
	return G_SOURCE_REMOVE;
}

/* The address our own end has, as it stands in a header. */
static char *local_name(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_storage room;
	} own;
	socklen_t length = sizeof own;
	char text[INET6_ADDRSTRLEN] = "";
	if (getsockname(fd, &own.any, &length) < 0)
		return g_strdup("0.0.0.0");
	if (own.any.sa_family == AF_INET6) {
		(void)inet_ntop(AF_INET6, &own.in6.sin6_addr, text, sizeof text);
		return g_strdup_printf("[%s]:%u", text, ntohs(own.in6.sin6_port));
	}
	(void)inet_ntop(AF_INET, &own.in.sin_addr, text, sizeof text);
	return g_strdup_printf("%s:%u", text, ntohs(own.in.sin_port));
}

static int connect_to(const SettingsCheck *check)
{
	const char *host = check->host ? check->host : DEFAULT_HOST;
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons((guint16)check->port) };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((guint16)check->port) };
	bool ipv6 = inet_pton(AF_INET6, host, &in6.sin6_addr) == 1;
	int fd = socket(ipv6 ? AF_INET6 : AF_INET, (check->tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (!ipv6)
		(void)inet_pton(AF_INET, host, &in.sin_addr);
	if (fd >= 0 && connect(fd, ipv6 ? (struct sockaddr *)&in6 : (struct sockaddr *)&in, ipv6 ? sizeof in6 : sizeof in) < 0 &&
	    errno != EINPROGRESS) {
		close(fd);
		fd = -1;
	}
	return fd;
}

Probe *probe_sip(const SettingsCheck *check, guint timeout_ms, ProbeDoneCb done, gpointer user_data)
{
	Probe *probe = g_new0(Probe, 1);
	probe->done = done;
	probe->user_data = user_data;
	probe->fd = connect_to(check);
	if (probe->fd < 0) {
		finish_soon(probe, "nobody is there to be asked OPTIONS");
		return probe;
	}
	g_autofree char *local = local_name(probe->fd);
	probe->call_id = g_uuid_string_random();
	probe->request = probe_sip_request(check, local, probe->call_id);
	probe->why = "OPTIONS is not answered";
	probe->timer = g_timeout_add(timeout_ms, on_time, probe);
	probe->io = g_unix_fd_add(probe->fd, G_IO_OUT | G_IO_ERR | G_IO_HUP, on_socket, probe);
	return probe;
}
