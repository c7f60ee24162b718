/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snmp/agentx.c - the packets of AgentX. */
#include "snmp/agentx.h"

#include <string.h>

#define VERSION            1
#define NON_DEFAULT_CONTEXT 0x08
#define NETWORK_ORDER      0x10
#define PRIORITY           127
#define REASON_SHUTDOWN    5
/* An answer to a bulk request ends here; the manager asks on. */
#define MAX_ANSWER         (48 * 1024)
#define MAX_VARIABLES      4096

/* ---- Reading ---- */

typedef struct {
	const guint8 *at;
	gsize left;
	bool swapped; /* little endian */
	bool bad;
} Reader;

static guint32 convert32(const guint8 *at, bool little)
{
	guint32 value;

	memcpy(&value, at, 4);
	return little ? GUINT32_FROM_LE(value) : GUINT32_FROM_BE(value);
}

static const guint8 *take(Reader *reader, gsize n)
{
	const guint8 *at = reader->at;

	if (reader->bad || reader->left < n) {
		reader->bad = true;
		return NULL;
	}
	reader->at += n;
	reader->left -= n;
	return at;
}

static guint32 take32(Reader *reader)
{
	const guint8 *at = take(reader, 4);

	return at ? convert32(at, reader->swapped) : 0;
}

static guint16 take16(Reader *reader)
{
	const guint8 *at = take(reader, 2);

	if (!at)
		return 0;
	return (guint16)(reader->swapped ? at[0] | at[1] << 8 : at[0] << 8 | at[1]);
}

static bool take_oid(Reader *reader, Oid *ret_oid, bool *ret_include)
{
	const guint8 *head = take(reader, 4);

	ret_oid->n = 0;
	if (!head)
		return false;
	guint n = head[0], prefix = head[1];
	if (ret_include)
		*ret_include = head[2] != 0;
	if (prefix) {
		static const guint32 internet[] = { 1, 3, 6, 1 };

		memcpy(ret_oid->ids, internet, sizeof(internet));
		ret_oid->n = G_N_ELEMENTS(internet);
		oid_add(ret_oid, prefix);
	}
	if (ret_oid->n + n > OID_MAX) {
		reader->bad = true;
		return false;
	}
	for (guint i = 0; i < n; i++)
		oid_add(ret_oid, take32(reader));
	return !reader->bad;
}

static void skip_octets(Reader *reader)
{
	guint32 n = take32(reader);

	if (n > reader->left)
		reader->bad = true;
	else
		(void)take(reader, (n + 3u) & ~3u);
}

bool agentx_parse_header(const guint8 *data, AgentxHeader *ret_header)
{
	bool little = !(data[2] & NETWORK_ORDER);

	if (data[0] != VERSION)
		return false;
	*ret_header = (AgentxHeader){
		.type = data[1],
		.flags = data[2],
		.session = convert32(data + 4, little),
		.transaction = convert32(data + 8, little),
		.packet = convert32(data + 12, little),
		.length = convert32(data + 16, little),
	};
	return ret_header->length <= AGENTX_MAX_PACKET && ret_header->length % 4 == 0;
}

static Reader reader_of(const AgentxHeader *header, const guint8 *payload)
{
	return (Reader){ .at = payload, .left = header->length, .swapped = !(header->flags & NETWORK_ORDER) };
}

bool agentx_parse_response(const AgentxHeader *header, const guint8 *payload, guint *ret_error)
{
	Reader reader = reader_of(header, payload);

	(void)take32(&reader); /* its up time */
	guint16 error = take16(&reader);
	(void)take16(&reader);
	if (reader.bad)
		return false;
	*ret_error = error;
	return true;
}

/* ---- Writing ---- */

static void put8(GByteArray *out, guint8 value)
{
	g_byte_array_append(out, &value, 1);
}

static void put16(GByteArray *out, guint16 value)
{
	value = GUINT16_TO_BE(value);
	g_byte_array_append(out, (const guint8 *)&value, 2);
}

static void put32(GByteArray *out, guint32 value)
{
	value = GUINT32_TO_BE(value);
	g_byte_array_append(out, (const guint8 *)&value, 4);
}

static void put_oid(GByteArray *out, const Oid *oid)
{
	/* At most 128 of them always fit, so the short form of 1.3.6.1 is not needed. */
	put8(out, (guint8)oid->n);
	put8(out, 0);
	put16(out, 0);
	for (guint i = 0; i < oid->n; i++)
		put32(out, oid->ids[i]);
}

static void put_octets(GByteArray *out, const void *data, gsize n)
{
	static const guint8 nothing[4];

	put32(out, (guint32)n);
	if (n > 0)
		g_byte_array_append(out, data, (guint)n);
	g_byte_array_append(out, nothing, (guint)(-n & 3));
}

static GByteArray *begin(AgentxType type, guint32 session, guint32 transaction, guint32 packet)
{
	GByteArray *out = g_byte_array_new();

	put8(out, VERSION);
	put8(out, type);
	put8(out, NETWORK_ORDER);
	put8(out, 0);
	put32(out, session);
	put32(out, transaction);
	put32(out, packet);
	put32(out, 0);
	return out;
}

static GByteArray *finish(GByteArray *out)
{
	guint32 length = GUINT32_TO_BE(out->len - AGENTX_HEADER);

	memcpy(out->data + 16, &length, 4);
	return out;
}

GByteArray *agentx_open(guint32 packet, const Oid *id, const char *description)
{
	GByteArray *out = begin(AGENTX_OPEN, 0, 0, packet);

	put32(out, 0); /* no time limit but the master's own */
	put_oid(out, id);
	put_octets(out, description, strlen(description));
	return finish(out);
}

GByteArray *agentx_register(guint32 session, guint32 packet, const Oid *subtree, bool remove)
{
	GByteArray *out = begin(remove ? AGENTX_UNREGISTER : AGENTX_REGISTER, session, 0, packet);

	put8(out, 0);
	put8(out, PRIORITY);
	put16(out, 0);
	put_oid(out, subtree);
	return finish(out);
}

GByteArray *agentx_close(guint32 session, guint32 packet)
{
	GByteArray *out = begin(AGENTX_CLOSE, session, 0, packet);

	put8(out, REASON_SHUTDOWN);
	put8(out, 0);
	put16(out, 0);
	return finish(out);
}

static void put_variable(GByteArray *out, const Oid *oid, const MibValue *value, MibType absent)
{
	MibType type = value ? value->type : absent;
	gsize n;

	put16(out, (guint16)type);
	put16(out, 0);
	put_oid(out, oid);
	switch (type) {
	case MIB_INTEGER:
	case MIB_COUNTER32:
	case MIB_GAUGE32:
	case MIB_TIME_TICKS:
		put32(out, (guint32)value->number);
		break;
	case MIB_COUNTER64:
		put32(out, (guint32)(value->number >> 32));
		put32(out, (guint32)value->number);
		break;
	case MIB_OCTETS:
	case MIB_IP_ADDRESS: {
		const void *data = g_bytes_get_data(value->octets, &n);

		put_octets(out, data, n);
		break;
	}
	case MIB_OBJECT_ID:
	case MIB_NO_SUCH_OBJECT:
	case MIB_NO_SUCH_INSTANCE:
	case MIB_END_OF_VIEW:
		break;
	}
}

/* ---- Answers ---- */

typedef struct {
	Oid start, end;
	bool include;
} Range;

static GByteArray *begin_response(const AgentxHeader *header, guint16 error, guint16 index)
{
	GByteArray *out = begin(AGENTX_RESPONSE, header->session, header->transaction, header->packet);

	put32(out, 0);
	put16(out, error);
	put16(out, index);
	return out;
}

static bool read_ranges(Reader *reader, GArray *ranges)
{
	while (!reader->bad && reader->left > 0 && ranges->len < MAX_VARIABLES) {
		Range range;

		if (take_oid(reader, &range.start, &range.include) && take_oid(reader, &range.end, NULL))
			g_array_append_val(ranges, range);
	}
	return !reader->bad && reader->left == 0;
}

static void answer_get(GByteArray *out, const MibView *view, const Range *range)
{
	const MibValue *value = mib_view_get(view, &range->start);
	const Oid *next;

	if (!value && mib_view_next(view, &range->start, false, &range->end, &next) && oid_begins_with(next, &range->start))
		put_variable(out, &range->start, NULL, MIB_NO_SUCH_INSTANCE);
	else
		put_variable(out, &range->start, value, MIB_NO_SUCH_OBJECT);
}

/* False: the view has ended. @range goes on to what was found. */
static bool answer_next(GByteArray *out, const MibView *view, Range *range)
{
	const Oid *found;
	const MibValue *value = mib_view_next(view, &range->start, range->include, &range->end, &found);

	if (!value) {
		put_variable(out, &range->start, NULL, MIB_END_OF_VIEW);
		return false;
	}
	put_variable(out, found, value, MIB_END_OF_VIEW);
	range->start.n = found->n;
	memcpy(range->start.ids, found->ids, found->n * sizeof(found->ids[0]));
	range->include = false;
	return true;
}

static void answer_bulk(GByteArray *out, const MibView *view, GArray *ranges, guint n_single, guint n_times)
{
	guint n = MIN(n_single, ranges->len);

	for (guint i = 0; i < n; i++)
		(void)answer_next(out, view, &g_array_index(ranges, Range, i));
	for (guint k = 0; k < n_times && n < ranges->len && out->len < MAX_ANSWER; k++) {
		bool more = false;

		for (guint i = n; i < ranges->len; i++)
			more |= answer_next(out, view, &g_array_index(ranges, Range, i));
		if (!more)
			break;
	}
}

GByteArray *agentx_answer(const MibView *view, const AgentxHeader *header, const guint8 *payload)
{
	g_autoptr(GArray) ranges = g_array_new(FALSE, FALSE, sizeof(Range));
	Reader reader = reader_of(header, payload);
	guint n_single = 0, n_times = 0;
	GByteArray *out;

	switch (header->type) {
	case AGENTX_GET:
	case AGENTX_GET_NEXT:
	case AGENTX_GET_BULK:
		break;
	case AGENTX_TEST_SET: /* the first variable is as bad as the others */
		return finish(begin_response(header, AGENTX_NOT_WRITABLE, 1));
	case AGENTX_CLEANUP_SET:
	case AGENTX_RESPONSE:
	case AGENTX_CLOSE:
		return NULL;
	default:
		return finish(begin_response(header, AGENTX_GEN_ERROR, 0));
	}
	if (header->flags & NON_DEFAULT_CONTEXT)
		skip_octets(&reader);
	if (header->type == AGENTX_GET_BULK) {
		n_single = take16(&reader);
		n_times = take16(&reader);
	}
	if (!read_ranges(&reader, ranges))
		return finish(begin_response(header, AGENTX_PARSE_ERROR, 0));

	out = begin_response(header, AGENTX_NO_ERROR, 0);
	if (header->type == AGENTX_GET_BULK) {
		answer_bulk(out, view, ranges, n_single, n_times);
		return finish(out);
	}
	for (guint i = 0; i < ranges->len; i++) {
		Range *range = &g_array_index(ranges, Range, i);

		if (header->type == AGENTX_GET)
			answer_get(out, view, range);
		else
			(void)answer_next(out, view, range);
	}
	return finish(out);
}
