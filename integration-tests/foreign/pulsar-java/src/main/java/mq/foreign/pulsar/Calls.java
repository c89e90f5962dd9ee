package mq.foreign.pulsar;

import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.pulsar.client.api.Consumer;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.MessageId;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.PulsarClient;
import org.apache.pulsar.client.api.Reader;
import org.apache.pulsar.client.api.Schema;
import org.apache.pulsar.client.api.TypedMessageBuilder;
import org.apache.pulsar.client.api.transaction.Transaction;
import org.json.JSONArray;
import org.json.JSONObject;

/**
 * What can be asked for. Producers, consumers and readers go by the names they are given; a message by its id as bytes in
 * Base64, as is its value.
 */
final class Calls {
    private final PulsarClient client;
    private final Map<String, Producer<byte[]>> producers = new HashMap<>();
    private final Map<String, Consumer<byte[]>> consumers = new HashMap<>();
    private final Map<String, Reader<byte[]>> readers = new HashMap<>();
    /** An id read from bytes has lost what its consumer keeps of the batch. */
    private final Map<String, MessageId> received = new HashMap<>();
    private Transaction transaction;

    Calls(PulsarClient client) {
        this.client = client;
    }

    JSONObject call(String action, JSONObject params) throws Exception {
        switch (action) {
            case "Partitions":
                return new JSONObject().put("topics", client.getPartitionsForTopic(params.getString("topic")).get());
            case "Begin":
                long timeout = params.optLong("timeout_ms", 60_000);
                transaction = client.newTransaction().withTransactionTimeout(timeout, TimeUnit.MILLISECONDS).build().get();
                return new JSONObject().put("id", transaction.getTxnID().toString());
            case "Commit":
                transaction.commit().get();
                return new JSONObject();
            case "Abort":
                transaction.abort().get();
                return new JSONObject();
            case "Close":
                client.close();
                return new JSONObject();
            default:
                return params.has("producer") ? producing(action, params) : consuming(action, params);
        }
    }

    private JSONObject producing(String action, JSONObject params) throws Exception {
        String name = params.getString("producer");
        if (action.equals("Producer")) {
            Producer<byte[]> made = Builders.producer(client, params).create();
            producers.put(name, made);
            return new JSONObject().put("name", made.getProducerName()).put("last_sequence_id", made.getLastSequenceId());
        }
        Producer<byte[]> producer = producers.get(name);
        switch (action) {
            case "Send":
                return new JSONObject().put("ids", send(producer, params.getJSONArray("messages")));
            case "LastSequenceId":
                return new JSONObject().put("last_sequence_id", producer.getLastSequenceId());
            case "CloseProducer":
                producer.close();
                return new JSONObject();
            default:
                throw new UnsupportedOperationException(action);
        }
    }

    /** All of them before the first is waited for: what is to be a batch becomes one. */
    private List<String> send(Producer<byte[]> producer, JSONArray messages) throws Exception {
        List<CompletableFuture<MessageId>> sending = new ArrayList<>();
        for (Object one : messages) {
            JSONObject message = (JSONObject) one;
            if (message.has("text")) {
                // Of another schema than its producer's, of which the broker is told first.
                sending.add(producer.newMessage(Schema.STRING).value(message.getString("text")).sendAsync());
                continue;
            }
            TypedMessageBuilder<byte[]> builder =
                    message.optBoolean("transaction") ? producer.newMessage(transaction) : producer.newMessage();
            sending.add(Builders.message(builder, message).sendAsync());
        }
        producer.flush();
        List<String> ids = new ArrayList<>();
        for (CompletableFuture<MessageId> sent : sending) {
            ids.add(text(sent.get(30, TimeUnit.SECONDS)));
        }
        return ids;
    }

    private JSONObject consuming(String action, JSONObject params) throws Exception {
        if (params.has("reader")) {
            return reading(action, params);
        }
        String name = params.getString("consumer");
        if (action.equals("Subscribe")) {
            consumers.put(name, Builders.consumer(client, params).subscribe());
            return new JSONObject();
        }
        Consumer<byte[]> consumer = consumers.get(name);
        switch (action) {
            case "Receive":
                return receive(consumer, params.optInt("count", 1), params.optInt("timeout_ms", 10_000));
            case "Ack":
                acknowledge(consumer, params);
                return new JSONObject();
            case "Nack":
                ids(params).forEach(consumer::negativeAcknowledge);
                return new JSONObject();
            case "Redeliver":
                consumer.redeliverUnacknowledgedMessages();
                return new JSONObject();
            case "Seek":
                if (params.has("time")) {
                    consumer.seek(params.getLong("time"));
                } else {
                    consumer.seek(ids(params).get(0));
                }
                return new JSONObject();
            case "LastMessageIds":
                List<String> last = new ArrayList<>();
                consumer.getLastMessageIds().forEach(id -> last.add(text(id)));
                return new JSONObject().put("ids", last);
            case "Unsubscribe":
                consumer.unsubscribe();
                return new JSONObject();
            case "CloseConsumer":
                consumer.close();
                return new JSONObject();
            default:
                throw new UnsupportedOperationException(action);
        }
    }

    private JSONObject reading(String action, JSONObject params) throws Exception {
        String name = params.getString("reader");
        switch (action) {
            case "Reader":
                readers.put(name, Builders.reader(client, params).create());
                return new JSONObject();
            case "HasNext":
                return new JSONObject().put("has_next", readers.get(name).hasMessageAvailable());
            case "CloseReader":
                readers.get(name).close();
                return new JSONObject();
            default:
                throw new UnsupportedOperationException(action);
        }
    }

    private JSONObject receive(Consumer<byte[]> consumer, int count, int timeout) throws Exception {
        List<JSONObject> all = new ArrayList<>();
        while (all.size() < count) {
            Message<byte[]> message = consumer.receive(timeout, TimeUnit.MILLISECONDS);
            if (message == null) {
                break;
            }
            received.put(text(message.getMessageId()), message.getMessageId());
            all.add(Builders.shown(message).put("id", text(message.getMessageId())));
        }
        return new JSONObject().put("messages", all);
    }

    private void acknowledge(Consumer<byte[]> consumer, JSONObject params) throws Exception {
        List<MessageId> ids = ids(params);
        if (params.optBoolean("cumulative")) {
            consumer.acknowledgeCumulative(ids.get(0));
        } else if (params.optBoolean("transaction")) {
            for (MessageId id : ids) {
                consumer.acknowledgeAsync(id, transaction).get(10, TimeUnit.SECONDS);
            }
        } else if (params.optBoolean("together")) {
            consumer.acknowledge(ids);
        } else {
            for (MessageId id : ids) {
                consumer.acknowledge(id);
            }
        }
    }

    /** {@code "ids"}: of messages that were received, or {@code earliest}, {@code latest}, or any other. */
    private List<MessageId> ids(JSONObject params) throws Exception {
        List<MessageId> ids = new ArrayList<>();
        for (Object one : params.getJSONArray("ids")) {
            String id = (String) one;
            MessageId known = received.get(id);
            ids.add(known != null ? known : Builders.id(id));
        }
        return ids;
    }

    private static String text(MessageId id) {
        return Base64.getEncoder().encodeToString(id.toByteArray());
    }
}
