package mq.foreign.pulsar;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.pulsar.client.api.AuthenticationFactory;
import org.apache.pulsar.client.api.ClientBuilder;
import org.apache.pulsar.client.api.PulsarClient;
import org.apache.pulsar.client.api.PulsarClientException;

/** One connection, which is looked after once a second. */
final class Clients {
    private Clients() {
    }

    static PulsarClient open(Map<String, String> options) throws PulsarClientException {
        ClientBuilder builder = PulsarClient.builder()
                .serviceUrl(options.get("--url"))
                .enableTransaction(!"false".equals(options.get("--transactions")))
                .ioThreads(1)
                .listenerThreads(1)
                .statsInterval(0, TimeUnit.SECONDS)
                .keepAliveInterval(1, TimeUnit.SECONDS)
                .operationTimeout(20, TimeUnit.SECONDS);
        String listener = options.get("--listener");
        if (listener != null) {
            builder.listenerName(listener);
        }
        String token = options.get("--token");
        if (token != null) {
            // Read whenever the client wants it: whoever replaces the file has given it a new one.
            Path file = Path.of(token);
            builder.authentication(AuthenticationFactory.token(() -> {
                try {
                    return Files.readString(file).strip();
                } catch (java.io.IOException e) {
                    throw new java.io.UncheckedIOException(e);
                }
            }));
        }
        String ca = options.get("--ca");
        if (ca != null) {
            builder.tlsTrustCertsFilePath(ca).enableTlsHostnameVerification(true);
        }
        return builder.build();
    }
}
