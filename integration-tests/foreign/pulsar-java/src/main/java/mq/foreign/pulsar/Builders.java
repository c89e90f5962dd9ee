package mq.foreign.pulsar;

import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.apache.pulsar.client.api.BatcherBuilder;
import org.apache.pulsar.client.api.CompressionType;
import org.apache.pulsar.client.api.ConsumerBuilder;
import org.apache.pulsar.client.api.DeadLetterPolicy;
import org.apache.pulsar.client.api.KeySharedPolicy;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.MessageId;
import org.apache.pulsar.client.api.ProducerAccessMode;
import org.apache.pulsar.client.api.ProducerBuilder;
import org.apache.pulsar.client.api.PulsarClient;
import org.apache.pulsar.client.api.Range;
import org.apache.pulsar.client.api.ReaderBuilder;
import org.apache.pulsar.client.api.Schema;
import org.apache.pulsar.client.api.SubscriptionInitialPosition;
import org.apache.pulsar.client.api.SubscriptionMode;
import org.apache.pulsar.client.api.SubscriptionType;
import org.apache.pulsar.client.api.TypedMessageBuilder;
import org.json.JSONObject;

/** From JSON to what the client is told, and back. What is not named has the client's default. */
final class Builders {
    private Builders() {
    }

    static ProducerBuilder<byte[]> producer(PulsarClient client, JSONObject params) {
        Schema<byte[]> schema = params.has("schema") ? Schema.AUTO_PRODUCE_BYTES() : Schema.BYTES;
        ProducerBuilder<byte[]> builder = client.newProducer(schema).topic(params.getString("topic"));
        if (params.has("name")) {
            builder.producerName(params.getString("name"));
        }
        int batch = params.optInt("batch");
        builder.enableBatching(batch > 0);
        if (batch > 0) {
            // Only its size, or a flush, closes a batch.
            builder.batchingMaxMessages(batch).batchingMaxPublishDelay(30, TimeUnit.SECONDS);
        }
        if (params.optBoolean("batch_by_key")) {
            builder.batcherBuilder(BatcherBuilder.KEY_BASED);
        }
        builder.compressionType(params.optEnum(CompressionType.class, "compression", CompressionType.NONE));
        builder.accessMode(params.optEnum(ProducerAccessMode.class, "access", ProducerAccessMode.Shared));
        if (params.has("initial_sequence_id")) {
            builder.initialSequenceId(params.getLong("initial_sequence_id"));
        }
        if (params.has("properties")) {
            builder.properties(texts(params.getJSONObject("properties")));
        }
        if (params.optBoolean("chunking")) {
            builder.enableChunking(true).chunkMaxMessageSize(params.getInt("chunk"));
        }
        return builder;
    }

    static TypedMessageBuilder<byte[]> message(TypedMessageBuilder<byte[]> builder, JSONObject message) {
        if (message.has("value")) {
            builder.value(message.isNull("value") ? null : Base64.getDecoder().decode(message.getString("value")));
        }
        if (message.has("key")) {
            builder.key(message.getString("key"));
        }
        if (message.has("key_bytes")) {
            builder.keyBytes(Base64.getDecoder().decode(message.getString("key_bytes")));
        }
        if (message.has("ordering_key")) {
            builder.orderingKey(Base64.getDecoder().decode(message.getString("ordering_key")));
        }
        if (message.has("properties")) {
            builder.properties(texts(message.getJSONObject("properties")));
        }
        if (message.has("event_time")) {
            builder.eventTime(message.getLong("event_time"));
        }
        if (message.has("deliver_at")) {
            builder.deliverAt(message.getLong("deliver_at"));
        }
        if (message.has("sequence_id")) {
            builder.sequenceId(message.getLong("sequence_id"));
        }
        return builder;
    }

    static ConsumerBuilder<byte[]> consumer(PulsarClient client, JSONObject params) {
        ConsumerBuilder<byte[]> builder = client.newConsumer()
                .subscriptionName(params.getString("subscription"))
                .subscriptionType(params.optEnum(SubscriptionType.class, "type", SubscriptionType.Exclusive))
                .subscriptionMode(params.optEnum(SubscriptionMode.class, "mode", SubscriptionMode.Durable))
                .subscriptionInitialPosition(
                        params.optEnum(SubscriptionInitialPosition.class, "from", SubscriptionInitialPosition.Latest))
                .receiverQueueSize(params.optInt("queue", 1000))
                .isAckReceiptEnabled(params.optBoolean("receipts"))
                .enableBatchIndexAcknowledgment(params.optBoolean("batch_index", true))
                .acknowledgmentGroupTime(params.optLong("ack_group_ms", 0), TimeUnit.MILLISECONDS)
                .negativeAckRedeliveryDelay(params.optLong("nack_ms", 100), TimeUnit.MILLISECONDS)
                .readCompacted(params.optBoolean("compacted"))
                .priorityLevel(params.optInt("priority"));
        if (params.has("pattern")) {
            builder.topicsPattern(params.getString("pattern"));
        } else {
            params.getJSONArray("topics").forEach(topic -> builder.topic((String) topic));
        }
        if (params.has("name")) {
            builder.consumerName(params.getString("name"));
        }
        if (params.has("properties")) {
            builder.properties(texts(params.getJSONObject("properties")));
        }
        if (params.has("subscription_properties")) {
            builder.subscriptionProperties(texts(params.getJSONObject("subscription_properties")));
        }
        if (params.has("key_shared")) {
            builder.keySharedPolicy(keyShared(params.getJSONObject("key_shared")));
        }
        if (params.has("dead_letter_after")) {
            builder.deadLetterPolicy(
                    DeadLetterPolicy.builder().maxRedeliverCount(params.getInt("dead_letter_after")).build());
        }
        return builder;
    }

    /** {@code {"ranges": [[0, 100]], "out_of_order": true}}; without ranges they are split among the consumers. */
    private static KeySharedPolicy keyShared(JSONObject policy) {
        KeySharedPolicy made;
        if (policy.has("ranges")) {
            List<Range> ranges = new ArrayList<>();
            policy.getJSONArray("ranges").forEach(one -> {
                org.json.JSONArray range = (org.json.JSONArray) one;
                ranges.add(Range.of(range.getInt(0), range.getInt(1)));
            });
            made = KeySharedPolicy.stickyHashRange().ranges(ranges);
        } else {
            made = KeySharedPolicy.autoSplitHashRange();
        }
        return made.setAllowOutOfOrderDelivery(policy.optBoolean("out_of_order"));
    }

    static ReaderBuilder<byte[]> reader(PulsarClient client, JSONObject params) throws Exception {
        return client.newReader()
                .topic(params.getString("topic"))
                .readerName(params.getString("reader"))
                .subscriptionName("reader-" + params.getString("reader"))
                .startMessageId(id(params.getString("from")));
    }

    static MessageId id(String text) throws Exception {
        return switch (text) {
            case "earliest" -> MessageId.earliest;
            case "latest" -> MessageId.latest;
            default -> MessageId.fromByteArray(Base64.getDecoder().decode(text));
        };
    }

    static JSONObject shown(Message<byte[]> message) {
        byte[] value = message.getValue();
        JSONObject shown = new JSONObject()
                .put("value", value == null ? JSONObject.NULL : Base64.getEncoder().encodeToString(value))
                .put("topic", message.getTopicName())
                .put("producer", message.getProducerName())
                .put("sequence_id", message.getSequenceId())
                .put("publish_time", message.getPublishTime())
                .put("event_time", message.getEventTime())
                .put("redeliveries", message.getRedeliveryCount())
                .put("properties", new JSONObject(message.getProperties()));
        if (message.hasKey()) {
            shown.put("key", message.getKey());
        }
        if (message.hasOrderingKey()) {
            shown.put("ordering_key", Base64.getEncoder().encodeToString(message.getOrderingKey()));
        }
        return shown;
    }

    /** In the order of their names. */
    private static Map<String, String> texts(JSONObject object) {
        Map<String, String> all = new TreeMap<>();
        object.keySet().forEach(key -> all.put(key, object.getString(key)));
        return all;
    }
}
