package mq.foreign.amqp;

import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.LongString;
import com.rabbitmq.client.impl.LongStringHelper;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.json.JSONArray;
import org.json.JSONObject;

/** What a message carries, between JSON and the client's own types. */
final class Values {
    private Values() {
    }

    static AMQP.BasicProperties properties(JSONObject given) {
        AMQP.BasicProperties.Builder built = new AMQP.BasicProperties.Builder();
        for (String name : given.keySet()) {
            switch (name) {
                case "content_type" -> built.contentType(given.getString(name));
                case "content_encoding" -> built.contentEncoding(given.getString(name));
                case "headers" -> built.headers(table(given.getJSONArray(name)));
                case "delivery_mode" -> built.deliveryMode(given.getInt(name));
                case "priority" -> built.priority(given.getInt(name));
                case "correlation_id" -> built.correlationId(given.getString(name));
                case "reply_to" -> built.replyTo(given.getString(name));
                case "expiration" -> built.expiration(given.getString(name));
                case "message_id" -> built.messageId(given.getString(name));
                case "timestamp" -> built.timestamp(new Date(given.getLong(name) * 1000));
                case "type" -> built.type(given.getString(name));
                case "user_id" -> built.userId(given.getString(name));
                case "app_id" -> built.appId(given.getString(name));
                case "cluster_id" -> built.clusterId(given.getString(name));
                default -> throw new UnsupportedOperationException(name);
            }
        }
        return built.build();
    }

    static JSONObject message(String exchange, String key, boolean redelivered, AMQP.BasicProperties props, byte[] body) {
        JSONObject there = new JSONObject();
        there.putOpt("content_type", props.getContentType());
        there.putOpt("content_encoding", props.getContentEncoding());
        there.putOpt("headers", props.getHeaders() == null ? null : table(props.getHeaders()));
        there.putOpt("delivery_mode", props.getDeliveryMode());
        there.putOpt("priority", props.getPriority());
        there.putOpt("correlation_id", props.getCorrelationId());
        there.putOpt("reply_to", props.getReplyTo());
        there.putOpt("expiration", props.getExpiration());
        there.putOpt("message_id", props.getMessageId());
        there.putOpt("timestamp", props.getTimestamp() == null ? null : props.getTimestamp().getTime() / 1000);
        there.putOpt("type", props.getType());
        there.putOpt("user_id", props.getUserId());
        there.putOpt("app_id", props.getAppId());
        there.putOpt("cluster_id", props.getClusterId());
        return new JSONObject().put("exchange", exchange).put("key", key).put("redelivered", redelivered)
            .put("properties", there).put("body", base64(body));
    }

    /** As many entries as are given, in their order. */
    static Map<String, Object> table(JSONArray pairs) {
        Map<String, Object> table = new LinkedHashMap<>();
        for (int i = 0; pairs != null && i < pairs.length(); i++) {
            JSONArray pair = pairs.getJSONArray(i);
            table.put(pair.getString(0), java(pair.getJSONObject(1)));
        }
        return table;
    }

    private static JSONArray table(Map<String, Object> held) {
        JSONArray pairs = new JSONArray();
        held.forEach((name, each) -> pairs.put(new JSONArray().put(name).put(value(each))));
        return pairs;
    }

    /** What the client is to be given for a value to be written with its letter. */
    private static Object java(JSONObject given) {
        String letter = given.keys().next();
        return switch (letter) {
            case "V" -> null;
            case "t" -> given.getBoolean(letter);
            case "b" -> (byte) given.getInt(letter);
            case "s" -> (short) given.getInt(letter);
            case "I" -> given.getInt(letter);
            case "l" -> given.getLong(letter);
            case "f" -> given.getFloat(letter);
            case "d" -> given.getDouble(letter);
            case "D" -> new BigDecimal(BigInteger.valueOf(given.getJSONArray(letter).getInt(1)), given.getJSONArray(letter).getInt(0));
            case "S" -> given.getString(letter);
            case "Sx" -> LongStringHelper.asLongString(bytes(given.getString(letter)));
            case "x" -> bytes(given.getString(letter));
            case "T" -> new Date(given.getLong(letter) * 1000);
            case "A" -> {
                List<Object> values = new ArrayList<>();
                given.getJSONArray(letter).forEach(each -> values.add(java((JSONObject) each)));
                yield values;
            }
            case "F" -> table(given.getJSONArray(letter));
            default -> throw new UnsupportedOperationException("no way to write " + letter);
        };
    }

    /** What the client made of a value, with the letter that it would write it with. */
    @SuppressWarnings("unchecked")
    private static JSONObject value(Object held) {
        JSONObject value = new JSONObject();
        if (held == null) {
            return value.put("V", JSONObject.NULL);
        } else if (held instanceof Boolean) {
            return value.put("t", held);
        } else if (held instanceof Byte) {
            return value.put("b", held);
        } else if (held instanceof Short) {
            return value.put("s", held);
        } else if (held instanceof Integer) {
            return value.put("I", held);
        } else if (held instanceof Long) {
            return value.put("l", held);
        } else if (held instanceof Float) {
            return value.put("f", held);
        } else if (held instanceof Double) {
            return value.put("d", held);
        } else if (held instanceof BigDecimal number) {
            return value.put("D", new JSONArray().put(number.scale()).put(number.unscaledValue()));
        } else if (held instanceof LongString text) {
            return text(text.getBytes());
        } else if (held instanceof byte[] raw) {
            return value.put("x", base64(raw));
        } else if (held instanceof Date at) {
            return value.put("T", at.getTime() / 1000);
        } else if (held instanceof List<?> values) {
            JSONArray all = new JSONArray();
            values.forEach(each -> all.put(value(each)));
            return value.put("A", all);
        } else if (held instanceof Map<?, ?> table) {
            return value.put("F", table((Map<String, Object>) table));
        }
        throw new UnsupportedOperationException(held.getClass().toString());
    }

    private static JSONObject text(byte[] raw) {
        try {
            String text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(raw)).toString();
            return new JSONObject().put("S", text);
        } catch (CharacterCodingException e) {
            return new JSONObject().put("Sx", base64(raw));
        }
    }

    static byte[] bytes(String base64) {
        return Base64.getDecoder().decode(base64);
    }

    static String base64(byte[] raw) {
        return Base64.getEncoder().encodeToString(raw);
    }
}
